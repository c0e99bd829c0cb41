// A training run under a marker: its curves, and the sheet of covers at that moment. Lessons 2, 5 and 8 show runs so.

import {colours, curves, digits, el, legend} from './drawing.js';

// `run`: {curves: {name: [[covers shown, value], ...]}, sheets: [[covers shown, address], ...]}; `shown`: [[name, kind], ...].
// A sheet from before the curves is [null, address, what it is].
export function runView(t, {onmove, label}) {
  const picture = el('img', {class: 'picture sheet', alt: ''}), canvas = el('canvas', {class: 'chart tall', role: 'img', 'aria-label': t('curves')});
  const input = el('input', {type: 'range', min: 0, max: 1, step: 1, 'aria-label': label, oninput: () => onmove(+input.value)}), told = el('p', {class: 'numbers', role: 'status'});
  const key = el('div', {}), box = el('div', {class: 'run-view'}, el('figure', {}, picture), el('div', {}, input, told, canvas, key));
  let run = null;
  return {
    box, input,
    set(next) {
      run = next;
      input.max = run.sheets.length - 1;
      key.replaceChildren(legend(run.shown.map(([name, kind]) => [kind, t(name)])));
    },
    show(at) {
      if (!run) return;
      const n = Math.max(0, Math.min(run.sheets.length - 1, Math.round(at))), [images, src, before] = run.sheets[n], look = colours();
      input.value = n;
      if (src instanceof Promise) src.then(address => { if (input.value === `${n}`) picture.src = address; });
      else picture.src = src;
      picture.alt = before ?? t('sheet-alt', {n: digits(images)});
      const colour = {real: look.real, fake: look.fake, warm: look.quiet};
      const lines = run.shown.map(([name, kind]) => ({name, values: run.curves[name] ?? [], colour: colour[kind]}));
      curves(canvas, lines, {mark: images, text: ` ${t('images')}`, ...run.range});
      if (before) return told.replaceChildren(el('span', {'data-number': 'before'}, before));
      const near = values => values.reduce((a, b) => Math.abs(b[0] - images) < Math.abs(a[0] - images) ? b : a, values[0] ?? [0, NaN])[1];
      told.replaceChildren(el('span', {'data-number': 'images'}, el('b', {}, digits(images)), ` ${t('images')}`),
        ...lines.map(({name, values}) => el('span', {'data-number': name}, `${t(name)} `, el('b', {}, digits(near(values), 2)))));
    },
  };
}

// A run that lies beside the lessons: runs/<name>/run.json, its sheets and its recipe. See train/benchmark/lessons.py.
const kept = new Map();
export function loadRun(base, name) {
  const file = async path => {
    const answer = await fetch(`${base}/runs/${name}/${path}`);
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer;
  };
  if (!kept.has(name)) {
    const found = Promise.all([file('run.json').then(answer => answer.json()), file('recipe.yaml').then(answer => answer.text())])
      .then(([run, recipe]) => ({...run, recipe, sheets: run.sheets.map(([images, sheet]) => [images, `${base}/runs/${name}/${sheet}`])}));
    kept.set(name, found);
    found.catch(() => kept.delete(name));
  }
  return kept.get(name);
}
