// Lesson 4, normalise or not: one channel of the page's generator before and after, and what the size of the batch does.

import {colours, digits, el, legend, penOf, slider} from './drawing.js';

export default {
  defaults: {seed: 1, layer: 1, channel: 0},
  limits: {seed: [0, 200, 1], layer: [0, 99, 1], channel: [0, 9999, 1]},
  steps: [{layer: 1, channel: 0}, {layer: 2, channel: 3}, {}, {}],
  ahead: server => Promise.all([server.normalised({seed: 1, layer: 1, channel: 0}), server.normalised({seed: 1, layer: 2, channel: 3})]),

  open(stage, {t, server, change, complain}, begin) {
    let state = begin, asked = '', told = null;
    const chart = el('canvas', {class: 'chart tall', role: 'img', 'aria-label': t('chart')}), numbers = el('div', {class: 'table-box'}), covers = el('div', {class: 'strip'});
    const dials = {
      seed: slider(t('seed'), {min: 0, max: 200, step: 1, name: 'seed'}, seed => change({seed})),
      layer: slider(t('layer'), {min: 0, max: 4, step: 1, name: 'layer'}, layer => change({layer, channel: 0})),
      channel: slider(t('channel'), {min: 0, max: 31, step: 1, name: 'channel'}, channel => change({channel})),
    };
    const leak = el('p', {class: 'numbers big leak', role: 'status'}), note = el('p', {role: 'status'});
    stage.append(el('div', {class: 'dials'}, ...Object.values(dials).map(dial => dial.row)), note, el('figure', {}, chart, legend([['', t('before')], ['real', t('after')]])), numbers,
      el('h3', {}, t('batches')), covers, el('h3', {}, t('leak-title')), leak);

    function refresh() {
      const payload = {seed: state.seed, layer: state.layer, channel: state.channel}, wanted = JSON.stringify(payload);
      if (wanted === asked) return paint();
      asked = wanted;
      server.normalised(payload).then(answer => {
        if (asked !== wanted) return;
        if (answer.refused) return complain(answer);
        told = answer;
        paint();
      }, () => { note.textContent = t('no-server'); });
    }

    function paint() {
      if (!told) return;
      if (!told.layers) { note.textContent = t('none-here'); return; }
      dials.layer.input.max = told.layers - 1;
      dials.channel.input.max = Math.min(63, told.channels - 1);
      const cell = (...children) => el('td', {}, ...children);
      numbers.replaceChildren(el('table', {}, el('thead', {}, el('tr', {}, el('th', {}, t('by')), el('th', {}, t('mean')), el('th', {}, t('variance')))), el('tbody', {},
        el('tr', {'data-batch': 0}, cell(t('learned')), cell(digits(told.learned[0], 4, 4)), cell(digits(told.learned[1], 4, 4))),
        ...told.by_batch.map(([batch, mean, variance]) => el('tr', {'data-batch': batch}, cell(t('batch-of', {n: batch})), cell(digits(mean, 4, 4)), cell(digits(variance, 4, 4)))))));
      covers.replaceChildren(...told.covers.map(([batch, src]) => el('figure', {}, el('img', {class: 'picture', src, alt: batch ? t('batch-of', {n: batch}) : t('learned')}), el('figcaption', {}, batch ? t('batch-of', {n: batch}) : t('learned')))));
      leak.replaceChildren(el('span', {'data-number': 'batch'}, `${t('with-batch')} `, el('b', {}, digits(told.leak.batch, 3, 3))), el('span', {'data-number': 'none'}, `${t('without')} `, el('b', {}, digits(told.leak.none, 3, 3))));
      histogram();
    }

    function histogram() {
      const drawn = penOf(chart);
      if (!drawn) return;
      const {pen, width, height} = drawn, look = colours(), most = Math.max(4, ...told.before.map(Math.abs)), bins = 61;
      const count = values => {
        const found = new Array(bins).fill(0);
        for (const value of values) found[Math.max(0, Math.min(bins - 1, Math.floor((value / most + 1) / 2 * bins)))]++;
        return found;
      };
      const both = [[count(told.before), look.quiet], [count(told.after), look.real]], top = Math.max(...both.flatMap(([found]) => found));
      pen.strokeStyle = look.line;
      pen.beginPath(); pen.moveTo(0, height - 20); pen.lineTo(width, height - 20); pen.stroke();
      for (const [found, colour] of both) {
        pen.fillStyle = colour;
        pen.globalAlpha = 0.55;
        found.forEach((n, bin) => pen.fillRect(bin / bins * width + 1, height - 20 - n / top * (height - 30), width / bins - 2, n / top * (height - 30)));
      }
      pen.globalAlpha = 1;
      pen.fillStyle = look.quiet;
      pen.font = '12px ui-sans-serif, system-ui, sans-serif';
      pen.textAlign = 'center';
      const far = Math.round(most * 0.8), one = width / most / 2 > 24 ? [-1, 1] : [];  // where it does not touch the 0
      for (const value of [-far, 0, ...one, far]) pen.fillText(digits(value), (value / most + 1) / 2 * width, height - 5);
    }

    return {show(next) { state = next; for (const [name, dial] of Object.entries(dials)) dial.set(state[name]); refresh(); }};
  },
};
