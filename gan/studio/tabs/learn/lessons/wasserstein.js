// Lesson 2, why Wasserstein: two heaps pushed apart, and what two distances say of it; then a real run's curve.

import {choice, colours, curves, digits, el, legend, penOf, short, slider} from './drawing.js';
import {heap, jensenShannon, wasserstein} from './math/distances.js';
import {loadRun, runView} from './runs.js';

const LINE = {cells: 801, low: -4, cell: 0.01}, MOST = 2;

export const distances = (theta, sigma) => {
  const p = heap(0, sigma, LINE), q = heap(theta, sigma, LINE);
  return {js: jensenShannon(p, q), w: wasserstein(p, q, LINE.cell)};
};
const slopes = (theta, sigma, h = 0.02) => {
  const [a, b] = [distances(theta - h, sigma), distances(theta + h, sigma)];
  return {js: (b.js - a.js) / (2 * h), w: (b.w - a.w) / (2 * h)};
};

export default {
  defaults: {theta: 1, blur: 0, part: 'lines', at: 99},
  limits: {theta: [-MOST, MOST], blur: [0, 0.6], part: ['lines', 'run'], at: [0, 99, 1]},
  steps: [{part: 'lines', theta: 1, blur: 0}, {part: 'lines', theta: 0.4, blur: 0}, {part: 'lines', theta: 0.4, blur: 0}, {part: 'lines', theta: 0.8, blur: 0.3}, {part: 'run', at: 0}],
  ahead: (server, props, base) => loadRun(base, 'wgan').then(({sheets}) => Promise.all(sheets.map(([, address]) => fetch(address)))),

  open(stage, {t, base, change}, begin) {
    let state = begin, lines = null, linesOf = null;
    const part = choice(t('what'), [['lines', t('two-lines')], ['run', t('real-run')]], part => change({part}));
    const view = runView(t, {label: t('marker'), onmove: at => change({at})}), run = el('div', {class: 'part'}, el('p', {class: 'aside', role: 'status'}, t('wait')));
    loadRun(base, 'wgan').then(found => {
      view.set({...found, shown: [['loss_d', 'real'], ['loss_g', 'fake']]});
      run.replaceChildren(view.box);
      view.show(state.at);
    }, () => { run.textContent = t('no-server'); });
    const plane = el('canvas', {class: 'two-lines', tabindex: 0, role: 'slider', 'aria-label': t('push'), 'aria-valuemin': -MOST, 'aria-valuemax': MOST});
    const chart = el('canvas', {class: 'chart tall', role: 'img', 'aria-label': t('chart')}), numbers = el('p', {class: 'numbers big', role: 'status'});
    const theta = slider(t('apart'), {min: -MOST, max: MOST, step: 0.02, name: 'theta'}, theta => change({theta}));
    const blur = slider(t('blur'), {min: 0, max: 0.6, step: 0.02, name: 'blur'}, blur => change({blur}));
    const lines_ = el('div', {class: 'part'}, plane, legend([['real', t('real')], ['fake', t('fake')]]), el('div', {class: 'dials'}, theta.row, blur.row), numbers,
      el('figure', {}, chart, legend([['real', t('js')], ['fake', t('w')]])));
    stage.append(part.group, lines_, run);

    const push = event => {
      const box = plane.getBoundingClientRect();
      change({theta: +Math.max(-MOST, Math.min(MOST, ((event.clientX - box.left) / box.width * 2 - 1) * (MOST + 0.3))).toFixed(2)});
    };
    let held = false;
    plane.addEventListener('pointerdown', event => { held = true; plane.setPointerCapture(event.pointerId); push(event); });
    plane.addEventListener('pointermove', event => { if (held) push(event); });
    plane.addEventListener('pointerup', () => { held = false; });
    plane.addEventListener('keydown', event => {
      const by = {ArrowLeft: -0.1, ArrowRight: 0.1, ArrowDown: -0.1, ArrowUp: 0.1, Home: -9, End: 9}[event.key];
      if (!by) return;
      event.preventDefault();
      change({theta: +Math.max(-MOST, Math.min(MOST, state.theta + by)).toFixed(2)});
    });

    function picture() {
      const drawn = penOf(plane);
      if (!drawn) return;
      const {pen, width, height} = drawn, look = colours(), px = x => (x / (MOST + 0.3) + 1) / 2 * width;
      pen.fillStyle = look.ground;
      pen.fillRect(0, 0, width, height);
      const band = (x, colour) => {
        const wide = Math.max(0.02, state.blur);
        for (let k = -30; k <= 30; k++) {
          const at = x + k / 10 * wide;
          pen.globalAlpha = state.blur < 0.01 ? (k === 0 ? 1 : 0) : 0.5 * Math.exp(-0.5 * (k / 10) ** 2);
          pen.fillStyle = colour;
          const w = state.blur < 0.01 ? 6 : width * 0.1 * wide / (MOST + 0.3) / 2 + 1;
          pen.fillRect(px(at) - w / 2, 14, w, height - 28);
        }
        pen.globalAlpha = 1;
      };
      band(0, look.real);
      band(state.theta, look.fake);
      const slope = slopes(state.theta, state.blur);
      const arrow = (y, size, text) => {
        const x0 = px(state.theta), x1 = x0 - size * width * 0.11;
        pen.strokeStyle = pen.fillStyle = look.text;
        pen.lineWidth = 2;
        pen.font = '13px ui-sans-serif, system-ui, sans-serif';
        if (Math.abs(size) > 0.02) {
          const way = Math.sign(x1 - x0);
          pen.beginPath(); pen.moveTo(x0, y); pen.lineTo(x1, y); pen.stroke();
          pen.beginPath(); pen.moveTo(x1 + way * 8, y); pen.lineTo(x1, y - 5); pen.lineTo(x1, y + 5); pen.fill();
        } else { pen.beginPath(); pen.arc(x0, y, 4, 0, 7); pen.fill(); }
        const right = x0 < width * 0.62;
        pen.textAlign = right ? 'left' : 'right';
        const w = pen.measureText(text).width, left = x0 + (right ? 14 : -14 - w);
        pen.fillStyle = look.ground;
        pen.fillRect(left - 4, y - 22, w + 8, 17);
        pen.fillStyle = look.text;
        pen.fillText(text, x0 + (right ? 14 : -14), y - 9);
      };
      arrow(height * 0.38, Math.abs(state.theta) < 0.01 ? 0 : slope.js, t('pull-js'));
      arrow(height * 0.76, Math.abs(state.theta) < 0.01 ? 0 : slope.w, t('pull-w'));
    }

    return {
      show(next) {
        state = next;
        const isRun = state.part === 'run';
        part.set(isRun ? 'run' : 'lines');
        lines_.hidden = isRun;
        run.hidden = !isRun;
        if (isRun) return view.show(state.at);
        theta.set(state.theta);
        blur.set(state.blur);
        plane.setAttribute('aria-valuenow', state.theta);
        picture();
        if (linesOf !== state.blur) {
          linesOf = state.blur;
          const places = Array.from({length: 201}, (_, n) => -MOST + n * MOST / 100);
          lines = places.map(x => [x, distances(x, state.blur)]);
        }
        const look = colours(), now = distances(state.theta, state.blur), slope = slopes(state.theta, state.blur), zero = Math.abs(state.theta) < 0.01;
        curves(chart, [{values: lines.map(([x, {js}]) => [x, js]), colour: look.real}, {values: lines.map(([x, {w}]) => [x, w]), colour: look.fake}], {mark: state.theta, low: 0, high: 2, from: -MOST, to: MOST});
        numbers.replaceChildren(
          el('span', {'data-number': 'js'}, `${t('js')} `, el('b', {}, digits(now.js, 3, 3)), now.js > 0.693 ? ' = log 2' : ''), el('span', {'data-number': 'js-slope'}, `${t('slope')} `, el('b', {}, zero ? '–' : short(slope.js))),
          el('span', {'data-number': 'w'}, `${t('w')} `, el('b', {}, digits(now.w, 3, 3))), el('span', {'data-number': 'w-slope'}, `${t('slope')} `, el('b', {}, zero ? '–' : short(slope.w))));
      },
    };
  },
};
