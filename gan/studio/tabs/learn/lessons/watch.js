// Lesson 5, watch it learn: the film of the generator that ships, or the snapshots of the page's model on the Hub; losses and
// scores beneath, one marker for both.

import {choice, el} from './drawing.js';
import {runView} from './runs.js';

const NOTHING = 'data:,';

export default {
  defaults: {of: 'shipped', at: 52, curve: 'losses'},
  limits: {of: ['shipped', 'hub'], at: [0, 999, 1], curve: ['losses', 'scores']},
  steps: [{of: 'shipped', at: 0, curve: 'losses'}, {of: 'shipped', at: 8, curve: 'losses'}, {of: 'shipped', at: 52, curve: 'losses'}, {of: 'shipped', at: 52, curve: 'scores'}],
  ahead: server => server.film('shipped').then(({frames}) => Promise.all([0, 8, 18, 30, frames - 1].map(number => server.frame({of: 'shipped', number})))),

  open(stage, {t, server, props, change, calm}, begin) {
    let state = begin, film = null, filmOf = '', arrived = false, ticking = 0;
    const view = runView(t, {label: t('marker'), onmove: at => { stop(); change({at}); }});
    const play = el('button', {type: 'button', class: 'keep', 'data-do': 'play', onclick: () => ticking ? stop() : start()}, t('play'));
    const which = el('p', {class: 'buttons'}, play, ...['losses', 'scores'].map(curve => el('button', {type: 'button', 'data-curve': curve, onclick: () => change({curve})}, t(curve))));
    const note = el('p', {class: 'aside', role: 'status'}, t('wait'));
    const of = choice(t('of'), [['shipped', t('shipped')], ['hub', props.model]], of => { stop(); change({of, at: 999}); });
    of.group.hidden = props.snapshots < 2;  // of a model in a folder, or without tags, there is no second film
    stage.append(of.group, view.box, which, note);

    function start() {
      if (!film) return;
      if (state.at >= film.frames - 1) change({at: 0});
      ticking = setInterval(() => state.at < film.frames - 1 ? change({at: state.at + 1}) : stop(), calm() ? 900 : 220);
      play.textContent = t('pause');
    }
    function stop() {
      clearInterval(ticking);
      ticking = 0;
      play.textContent = t('play');
    }

    const arrange = () => {
      const shown = state.curve === 'scores' ? [['fd_covers', 'fake'], ['recall_covers', 'real'], ['precision_covers', 'warm']] : [['loss_d', 'real'], ['loss_g', 'fake']];
      // of a run before there are pictures alone: how many covers it had been shown by then is not known
      const {frames, images} = film, first = frames - images.length, mine = filmOf;
      const sheets = Array.from({length: frames}, (_, n) => n < first ? [null, null, t('before', {n: n + 1, of: first})] : [images[n - first], null]);
      const picture = number => server.frame({of: mine, number}).then(answer => {
        arrived = true;
        note.textContent = answer.refused ? t('no-snapshot') : about();
        return answer.src ?? NOTHING;
      }, () => { note.textContent = t('no-server'); return NOTHING; });
      for (const [n, sheet] of sheets.entries()) Object.defineProperty(sheet, 1, {get: () => picture(n)});
      view.set({curves: film.curves, sheets, shown, range: {from: 0, to: images.at(-1)}});
    };
    async function load(wanted) {
      filmOf = wanted;
      film = null;
      arrived = false;
      note.textContent = t('wait');
      let answer;
      try { answer = await server.film(wanted); } catch { note.textContent = t('no-server'); filmOf = ''; return; }
      if (filmOf !== wanted) return;
      film = answer;
      arrange();
      refresh();
    }
    const about = () => t(filmOf === 'hub' ? 'of-the-hub' : state.at < film.frames - film.images.length ? 'first-run' : 'second-run');
    function refresh() {
      if (arrived) note.textContent = about();
      view.show(state.at);
    }

    return {
      show(next) {
        const other = next.curve !== state.curve;
        state = next;
        for (const button of which.querySelectorAll('[data-curve]')) button.setAttribute('aria-pressed', button.dataset.curve === state.curve);
        const wanted = state.of === 'hub' && props.snapshots > 1 ? 'hub' : 'shipped';
        of.set(wanted);
        if (wanted !== filmOf) return load(wanted);
        if (!film) return;
        if (other) arrange();
        refresh();
      },
      close: stop,
    };
  },
};
