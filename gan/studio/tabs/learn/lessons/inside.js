// Lesson 7, inside the generator: mute a channel, truncate, two ways between covers, directions.

import {choice, curves, colours, el, legend, short, slider} from './drawing.js';

const PARTS = ['channels', 'truncation', 'ways', 'directions'];

export default {
  defaults: {part: 'channels', seed: 1, layer: 2, muted: '', truncation: 1, to: 2, direction: 0},
  limits: {part: PARTS, seed: [0, 200, 1], layer: [0, 99, 1], muted: /^[\d ]{0,99}$/, truncation: [0, 1.5], to: [0, 200, 1], direction: [0, 5, 1]},
  steps: [{part: 'channels', layer: 2, muted: ''}, {part: 'channels', layer: 2, muted: '0 1 2 3 4 5 6 7'}, {part: 'truncation', truncation: 0.5}, {part: 'ways'}, {part: 'directions', direction: 0}],
  ahead: server => Promise.all([server.channels({seed: 1, layer: 2, muted: []}), server.channels({seed: 1, layer: 2, muted: [0, 1, 2, 3, 4, 5, 6, 7]}), server.truncated({seed: 1, truncation: 0.5}), server.truncated({seed: 1, truncation: 1}), server.ways({from: 1, to: 2}), server.directions({seed: 1, direction: 0})]),

  open(stage, {t, server, change, complain}, begin) {
    let state = begin, asked = '', turn = 0;
    const parts = choice(t('what'), PARTS.map(part => [part, t(part)]), part => change({part}));
    const dials = {
      seed: slider(t('seed'), {min: 0, max: 200, step: 1, name: 'seed'}, seed => change({seed})),
      layer: slider(t('layer'), {min: 0, max: 4, step: 1, name: 'layer'}, layer => change({layer, muted: ''})),
      truncation: slider(t('truncation'), {min: 0, max: 1.5, step: 0.05, name: 'truncation'}, truncation => change({truncation})),
      to: slider(t('to'), {min: 0, max: 200, step: 1, name: 'to'}, to => change({to})),
      direction: slider(t('direction'), {min: 0, max: 5, step: 1, name: 'direction'}, direction => change({direction}), n => String(n + 1)),
    };
    const uses = {channels: ['seed', 'layer'], truncation: ['seed', 'truncation'], ways: ['seed', 'to'], directions: ['seed', 'direction']};
    const shown = el('div', {class: 'inside-shown'}), note = el('p', {class: 'numbers', role: 'status'});
    stage.append(parts.group, el('div', {class: 'dials'}, ...Object.values(dials).map(dial => dial.row)), shown, note);

    const questions = {
      channels: () => [server.channels, {seed: state.seed, layer: state.layer, muted: mutedOf(state.muted)}],
      truncation: () => [server.truncated, {seed: state.seed, truncation: state.truncation}],
      ways: () => [server.ways, {from: state.seed, to: state.to}],
      directions: () => [server.directions, {seed: state.seed, direction: state.direction}],
    };
    const cover = (src, alt) => el('img', {class: 'picture', src, alt});
    const answers = {
      channels(told) {
        dials.layer.input.max = told.layers - 1;
        const muted = new Set(mutedOf(state.muted));
        const toggle = n => { muted.has(n) ? muted.delete(n) : muted.add(n); change({muted: [...muted].sort((a, b) => a - b).join(' ')}); };
        const focused = document.activeElement?.dataset?.channel;
        shown.replaceChildren(
          el('div', {class: 'two'}, el('figure', {}, cover(told.plain, t('whole')), el('figcaption', {}, t('whole'))), el('figure', {}, cover(told.cover, t('muted')), el('figcaption', {}, t('muted')))),
          el('div', {class: 'channels'}, ...told.tiles.map((src, n) => el('button', {type: 'button', 'data-channel': n, 'aria-pressed': muted.has(n), 'aria-label': t('channel-n', {n: n + 1}), onclick: () => toggle(n)}, el('img', {src, alt: ''})))));
        shown.querySelector(`[data-channel="${focused}"]`)?.focus();
        note.replaceChildren(el('span', {}, t('map', {size: told.size, of: told.of, shown: told.tiles.length})), el('span', {'data-number': 'changed'}, `${t('changed')} `, el('b', {}, short(told.changed))),
          muted.size ? el('button', {type: 'button', class: 'quiet', onclick: () => { change({muted: ''}); shown.querySelector('[data-channel]').focus({preventScroll: true}); }}, t('unmute')) : '');
      },
      truncation(told) {
        shown.replaceChildren(el('div', {class: 'eight'}, ...told.covers.map((src, n) => cover(src, t('seed-n', {n: state.seed + n})))));
        note.replaceChildren(el('span', {'data-number': 'spread'}, `${t('spread')} `, el('b', {}, short(told.spread))));
      },
      ways(told) {
        const chart = el('canvas', {class: 'chart', role: 'img', 'aria-label': t('lengths')});
        shown.replaceChildren(...['straight', 'round'].map(way => el('figure', {}, el('div', {class: 'seven'}, ...told[way].covers.map((src, n) => cover(src, t('cover-n', {n: n + 1})))), el('figcaption', {}, t(way)))),
          el('figure', {}, chart, legend([['fake', t('straight')], ['real', t('round')]])));
        const look = colours(), line = way => told[way].lengths.map((length, n) => [n, length]);
        requestAnimationFrame(() => curves(chart, [{values: line('straight'), colour: look.fake}, {values: line('round'), colour: look.real}], {low: 0, high: Math.max(...told.round.lengths) * 1.1}));
        note.replaceChildren(el('span', {'data-number': 'shortest'}, `${t('shortest')} `, el('b', {}, short(Math.min(...told.straight.lengths)))));
      },
      directions(told) {
        shown.replaceChildren(el('figure', {}, el('div', {class: 'seven'}, ...told.covers.map((src, n) => cover(src, t('cover-n', {n: n + 1})))), el('figcaption', {}, t('pushed'))));
        note.replaceChildren();
      },
    };

    // One question at a time; while it is answered only the newest of the others is kept.
    let busy = false;
    async function refresh() {
      const [function_, payload] = questions[state.part](), wanted = state.part + JSON.stringify(payload);
      if (wanted === asked || busy) return;
      asked = wanted;
      busy = true;
      try {
        const part = state.part, answer = await function_(payload);
        if (answer.refused) complain(answer);
        else if (part === state.part) answers[part](answer);
      } catch { note.textContent = t('no-server'); }
      busy = false;
      refresh();
    }

    return {
      show(next) {
        state = next;
        parts.set(state.part);
        for (const [name, dial] of Object.entries(dials)) {
          dial.set(state[name]);
          dial.row.hidden = !uses[state.part].includes(name);
        }
        refresh();
      },
    };
  },
};

const mutedOf = text => [...new Set(`${text}`.split(' ').filter(Boolean).map(Number).filter(n => Number.isInteger(n) && n >= 0 && n < 32))];
