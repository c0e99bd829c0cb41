// Lesson 5, watch it learn: the film of the generator that ships, its losses and scores beneath, one marker for both.

import {el} from './drawing.js';
import {runView} from './runs.js';

const SECOND_RUN = 35;  // the film's last pictures, one for each 10,000 covers; those before are the run at 64 pixels

export default {
  defaults: {at: 52, curve: 'losses'},
  steps: [{at: 0, curve: 'losses'}, {at: 8, curve: 'losses'}, {at: 52, curve: 'losses'}, {at: 52, curve: 'scores'}],
  ahead: server => server.film(null).then(({frames}) => Promise.all([0, 8, 18, 30, frames - 1].map(n => server.frame(n)))),

  open(stage, {t, server, change, calm}, begin) {
    let state = begin, film = null, ticking = 0;
    const view = runView(t, {label: t('marker'), onmove: at => { stop(); change({at}); }});
    const play = el('button', {type: 'button', class: 'keep', 'data-do': 'play', onclick: () => ticking ? stop() : start()}, t('play'));
    const which = el('p', {class: 'buttons'}, play, ...['losses', 'scores'].map(curve => el('button', {type: 'button', 'data-curve': curve, onclick: () => change({curve})}, t(curve))));
    const note = el('p', {class: 'aside', role: 'status'}, t('wait'));
    stage.append(view.box, which, note);

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
      // of the first run there are pictures and no curves: it lies before zero
      const first = film.frames - SECOND_RUN;
      const sheets = Array.from({length: film.frames}, (_, n) => [(n - first + 1) * 10000, null]);
      for (const [n, sheet] of sheets.entries()) Object.defineProperty(sheet, 1, {get: () => server.frame(n).then(({src}) => src)});
      view.set({curves: film.curves, sheets, shown, range: {from: -first * 10000}});
    };
    server.film(null).then(answer => {
      film = answer;
      note.textContent = '';
      arrange();
      view.show(state.at);
    }, () => { note.textContent = t('no-server'); });

    return {
      show(next) {
        const other = next.curve !== state.curve;
        state = next;
        for (const button of which.querySelectorAll('[data-curve]')) button.setAttribute('aria-pressed', button.dataset.curve === state.curve);
        if (!film) return;
        if (other) arrange();
        view.show(state.at);
        note.textContent = state.at < film.frames - SECOND_RUN ? t('first-run') : t('second-run');
      },
      close: stop,
    };
  },
};
