// Lesson 8, when it goes wrong: small real runs of this project's trainer, their recipes beside them.

import {choice, el} from './drawing.js';
import {loadRun, runView} from './runs.js';

export const RUNS = ['well', 'collapse', 'critic', 'checkerboard', 'range', 'duplicates'];
const LAST = 99;

export default {
  defaults: {run: 'well', at: LAST},
  limits: {run: RUNS, at: [0, LAST, 1]},
  steps: [{run: 'well', at: LAST}, {run: 'collapse', at: LAST}, {run: 'critic', at: LAST}, {run: 'checkerboard', at: LAST}, {run: 'range', at: LAST}, {run: 'duplicates', at: LAST}],
  ahead: (server, props, base) => Promise.all(RUNS.map(run => loadRun(base, run).then(({sheets}) => Promise.all(sheets.map(([, address]) => fetch(address)))))),

  open(stage, {t, base, change, copy}, begin) {
    let state = begin, loaded = null, recipe = '';
    const view = runView(t, {label: t('marker'), onmove: at => change({at})}), says = el('p', {class: 'diagnosis', role: 'status'}, t('wait'));
    const which = choice(t('which'), RUNS.map(run => [run, t(run)]), run => change({run, at: LAST}));
    const code = el('code', {});
    stage.append(which.group, view.box, says, el('details', {class: 'recipe'}, el('summary', {}, t('recipe')), el('pre', {}, code)),
      el('p', {class: 'buttons'}, el('button', {type: 'button', 'data-do': 'copy-recipe', onclick: () => copy(recipe, 'recipe-copied')}, t('copy-recipe'))));

    async function refresh() {
      const {run} = state;
      which.set(run);
      if (loaded !== run) {
        loaded = run;
        let found;
        try { found = await loadRun(base, run); } catch { loaded = null; says.textContent = t('no-server'); return; }
        if (loaded !== run) return;
        code.textContent = recipe = found.recipe;
        view.set({...found, shown: [['loss_d', 'real'], ['loss_g', 'fake']]});
        says.innerHTML = t(`${run}-says`);
      }
      view.show(state.at);
    }
    return {show(next) { state = next; refresh(); }};
  },
};
