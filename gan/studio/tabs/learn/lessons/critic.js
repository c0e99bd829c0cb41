// Lesson 6, what does the critic see? The visitor and a discriminator judge the same pictures; then where its verdict hangs.

import {colours, curves, el, percent, short, slider} from './drawing.js';

const SIDE = 32, MOST_OWN = 8;

export default {
  // `said`: the numbers of the pictures that the visitor takes for real; `asked`: whether the critic has answered
  defaults: {seed: 0, said: '', asked: 0, picked: -1},
  limits: {seed: [0, 200, 1], said: /^[\d ]{0,99}$/, asked: [0, 1, 1], picked: [-1, 23, 1]},
  steps: [{asked: 0, picked: -1}, {asked: 1, picked: -1}, {asked: 1, picked: 8}, {asked: 1, picked: 8}],
  ahead: async server => {
    const {pictures} = await server.judged({seed: 0, own: []});
    await server.seen(pictures[8].pixels);
  },

  open(stage, {t, server, change, complain}, begin) {
    let state = begin, own = [], told = null, toldOf = '', busy = false, order = [];
    const tiles = el('div', {class: 'judged', role: 'group', 'aria-label': t('pictures')}), score = el('p', {class: 'numbers big', role: 'status'}, t('wait'));
    const ask = el('button', {type: 'button', class: 'keep', 'data-do': 'ask', onclick: () => change({asked: state.asked ? 0 : 1, picked: -1})});
    const file = el('input', {type: 'file', accept: 'image/*', multiple: true, class: 'own-file', 'aria-label': t('own'), onchange: bring});
    const seed = slider(t('seed'), {min: 0, max: 200, step: 8, name: 'seed'}, seed => change({seed, said: '', asked: 0, picked: -1}));
    const detail = el('div', {class: 'critic-detail', hidden: true}), facts = el('p', {class: 'aside'});
    stage.append(el('p', {class: 'aside'}, t('how')), tiles, el('p', {class: 'buttons'}, ask, el('label', {class: 'own-pictures'}, t('own'), file)), score, el('div', {class: 'dials'}, seed.row), detail, facts);

    const said = () => new Set(`${state.said}`.split(' ').filter(Boolean).map(Number));

    // Each picture is made small here: SIDE x SIDE pixels of it are all that is sent.
    async function bring() {
      const news = [];
      for (const one of [...file.files].slice(0, MOST_OWN)) {
        try {
          news.push(await smallPixels(one));
        } catch { /* told below */ }
      }
      if (news.length < Math.min(file.files.length, MOST_OWN)) score.textContent = t('unreadable');
      file.value = '';
      if (!news.length) return;
      own = news;
      change({said: '', asked: 0, picked: -1});
    }

    function pressed(n) {
      if (state.asked) return change({picked: state.picked === n ? -1 : n});
      const set = said();
      set.has(n) ? set.delete(n) : set.add(n);
      change({said: [...set].sort((a, b) => a - b).join(' ')});
    }

    function draw() {
      const chosen = said(), focused = document.activeElement?.dataset?.picture;
      tiles.replaceChildren(...order.map((n, place) => {
        const {src, says, whose} = told.pictures[n], real = says > 0.5;
        const verdict = state.asked ? [el('span', {class: `verdict ${real ? 'real' : 'fake'}`}, percent(says)), el('span', {class: 'whose'}, t(`is-${whose}`))] : [];
        const name = `${t('picture-n', {n: place + 1})}${state.asked ? `: ${t('says', {n: percent(says)})}, ${t(`is-${whose}`)}` : ''}`;
        return el('button', {type: 'button', 'data-picture': n, 'aria-label': name, 'aria-pressed': state.asked ? state.picked === n : chosen.has(n), onclick: () => pressed(n)},
          el('img', {src, alt: ''}), chosen.has(n) ? el('span', {class: 'mine', 'aria-hidden': 'true'}, t('mine')) : '', ...verdict);
      }));
      tiles.querySelector(`[data-picture="${focused}"]`)?.focus();
      ask.textContent = t(state.asked ? 'again' : 'ask');
      if (!state.asked) score.textContent = t('marked', {n: chosen.size, of: order.length});
      else {
        const all = told.pictures, agree = all.filter(({says}, n) => (says > 0.5) === chosen.has(n)).length;
        const right = judge => all.filter(({whose}, n) => (whose === 'own') === judge(n)).length;
        score.replaceChildren(
          el('span', {'data-number': 'you'}, `${t('you')} `, el('b', {}, `${right(n => chosen.has(n))}/${all.length}`)),
          el('span', {'data-number': 'critic'}, `${t('critic')} `, el('b', {}, `${right(n => all[n].says > 0.5)}/${all.length}`)),
          el('span', {'data-number': 'agree'}, `${t('agree')} `, el('b', {}, `${agree}/${all.length}`)));
      }
      const {real, real_right, generated, generated_right} = told.facts;
      facts.textContent = t('facts', {real, realRight: percent(real_right), generated, generatedRight: percent(generated_right)});
    }

    async function look() {
      const n = state.picked;
      detail.hidden = !(state.asked && told?.pictures[n]);
      if (detail.hidden) return;
      const picture = told.pictures[n];
      let found;
      try { found = await server.seen(picture.pixels); } catch { return detail.replaceChildren(t('no-server')); }
      if (found.refused) return complain(found);
      if (n !== state.picked) return;
      const chart = el('canvas', {class: 'chart', role: 'img', 'aria-label': t('chart')});
      const figure = (src, text, kind) => el('figure', {}, el('img', {class: `picture ${kind}`, src, alt: text}), el('figcaption', {}, text));
      detail.replaceChildren(
        el('div', {class: 'three'}, figure(picture.src, t('before'), 'small'), figure(found.map, t('map'), 'small'), figure(found.after, t('after'), 'small')),
        el('p', {class: 'numbers'}, el('span', {'data-number': 'first'}, `${t('before')} `, el('b', {}, percent(found.says[0]))), el('span', {'data-number': 'last'}, `${t('after')} `, el('b', {}, percent(found.says.at(-1)))),
          el('span', {'data-number': 'moved'}, `${t('moved')} `, el('b', {}, short(found.moved)))), chart);
      requestAnimationFrame(() => curves(chart, [{values: found.says.map((says, step) => [step, says * 100]), colour: colours().real}], {low: 0, high: 100, from: 0, to: found.says.length - 1}));
    }

    async function refresh() {
      const wanted = `${state.seed} ${own.join(' ')}`;
      if (busy) return;
      if (wanted !== toldOf) {
        busy = true;
        try {
          const answer = await server.judged({seed: state.seed, own});
          toldOf = wanted;
          if (answer.refused) complain(answer);
          else {
            told = answer;
            order = shuffled(told.pictures.length, state.seed);
          }
        } catch {
          score.textContent = t('no-server');
          busy = false;
          return;
        }
        busy = false;
        if (`${state.seed} ${own.join(' ')}` !== toldOf) return refresh();
      }
      if (!told) return;
      draw();
      look();
    }

    return {
      show(next) {
        state = next;
        seed.set(state.seed);
        refresh();
      },
    };
  },
};

// 0..n-1 in an order that the seed decides, so that a link shows the same places.
function shuffled(n, seed) {
  const order = Array.from({length: n}, (_, k) => k);
  let x = seed * 2654435761 + 12345 >>> 0;
  for (let k = n - 1; k > 0; k--) {
    x = Math.imul(x, 1664525) + 1013904223 >>> 0;
    const other = Math.floor(x / 2 ** 32 * (k + 1));
    [order[k], order[other]] = [order[other], order[k]];
  }
  return order;
}

// The middle square of a picture file as base64 of SIDE x SIDE RGB pixels.
async function smallPixels(file) {
  const whole = await createImageBitmap(file), side = Math.min(whole.width, whole.height);
  const small = await createImageBitmap(whole, (whole.width - side) / 2 | 0, (whole.height - side) / 2 | 0, side, side, {resizeWidth: SIDE, resizeHeight: SIDE, resizeQuality: 'high'});
  const pen = new OffscreenCanvas(SIDE, SIDE).getContext('2d');
  pen.fillStyle = '#fff';
  pen.fillRect(0, 0, SIDE, SIDE);
  pen.drawImage(small, 0, 0);
  const {data} = pen.getImageData(0, 0, SIDE, SIDE);
  let bytes = '';
  for (let n = 0; n < data.length; n += 4) bytes += String.fromCharCode(data[n], data[n + 1], data[n + 2]);
  return btoa(bytes);
}
