// Lesson 3, layers and their sizes: a network of this project layer by layer, and a board for the arithmetic of convolutions.

import {choice, colours, digits, el, penOf, short, slider, tick} from './drawing.js';
import {contributors, convolve, outputSize, overlaps, stamps} from './math/arithmetic.js';
import {randomFrom} from './math/random.js';

const NAMES = {Conv2d: 'conv', ConvTranspose2d: 'conv-transposed', Linear: 'linear', BatchNorm2d: 'batch-norm', GroupNorm: 'layer-norm'};

export default {
  defaults: {network: 'dcgan', role: 'generator', resolution: 64, width: 64, layer: -1, kind: 'transposed', size: 5, kernel: 4, stride: 2, padding: 1, dilation: 1, outputPadding: 0, row: 4, column: 4, weave: 0},
  limits: {network: /^[a-z0-9-]{1,40}$/, role: ['generator', 'discriminator'], resolution: [16, 256, 1], width: [8, 192, 1], layer: [-1, 999, 1], kind: ['plain', 'transposed'],
    size: [2, 12, 1], kernel: [1, 7, 1], stride: [1, 4, 1], padding: [0, 3, 1], dilation: [1, 3, 1], outputPadding: [0, 2, 1], row: [0, 99, 1], column: [0, 99, 1], weave: [0, 1, 1]},
  steps: [
    {network: 'dcgan', role: 'generator', resolution: 64, width: 64, layer: -1},
    {network: 'dcgan', role: 'discriminator', layer: 1, kind: 'plain', size: 10, kernel: 4, stride: 2, padding: 1, dilation: 1, outputPadding: 0, row: 1, column: 1, weave: 0},
    {network: 'dcgan', role: 'generator', layer: 2, kind: 'transposed', size: 5, kernel: 4, stride: 2, padding: 1, dilation: 1, outputPadding: 0, row: 4, column: 4, weave: 0},
    {kind: 'transposed', size: 6, kernel: 3, stride: 2, padding: 1, dilation: 1, outputPadding: 0, weave: 1, row: 5, column: 5},
    {kind: 'transposed', size: 6, kernel: 4, stride: 2, padding: 1, dilation: 1, outputPadding: 0, weave: 1, row: 5, column: 5},
  ],
  ahead: server => Promise.all(['generator', 'discriminator'].map(role => server.layers({network: 'dcgan', role, resolution: 64, width: 64}))),

  open(stage, {t, server, props, change, complain, cover}, begin) {
    let state = begin, told = null, asked = '', pixels = null, over = null;
    const dropdown = (label, name, values) => {
      const box = el('select', {'data-name': name, onchange: () => change({[name]: typeof begin[name] === 'number' ? +box.value : box.value, layer: -1})}, ...values.map(value => el('option', {value}, `${value}`)));
      return {row: el('label', {class: 'tick'}, `${label} `, box), box};
    };
    const boxes = {network: dropdown(t('network'), 'network', props.networks ?? ['dcgan']), resolution: dropdown(t('resolution'), 'resolution', props.resolutions ?? [64]), width: dropdown(t('width'), 'width', props.widths ?? [64])};
    const role = choice(t('role'), [['generator', t('generator')], ['discriminator', t('discriminator')]], role => change({role, layer: -1}));
    const row = el('div', {class: 'blocks', role: 'group', 'aria-label': t('layers')}), details = el('p', {class: 'details-of', role: 'status'}), sum = el('p', {class: 'numbers', 'data-sum': ''});

    const before = el('canvas', {class: 'cells', role: 'img', 'aria-label': t('input')}), after = el('canvas', {class: 'cells', tabindex: 0, role: 'application', 'aria-label': t('output-help')});
    const kind = choice(t('kind'), [['plain', t('plain')], ['transposed', t('transposed')]], kind => change({kind}));
    const dials = Object.fromEntries([['size', 2, 12], ['kernel', 1, 7], ['stride', 1, 4], ['padding', 0, 3], ['dilation', 1, 3], ['outputPadding', 0, 2]].map(([name, min, max]) =>
      [name, slider(t(name), {min, max, step: 1, name}, value => change({[name]: value}))]));
    const weave = tick(t('weave'), on => change({weave: on ? 1 : 0})), says = el('p', {class: 'says', role: 'status'}), formula = el('p', {class: 'formula'});
    stage.append(
      el('div', {class: 'ticks'}, boxes.network.row, boxes.resolution.row, boxes.width.row), role.group, row, sum, details,
      el('h3', {}, t('board')),
      el('div', {class: 'conv-board'}, el('figure', {}, before, el('figcaption', {}, t('input'))), el('figure', {}, after, el('figcaption', {}, t('output')))),
      formula, says, kind.group, el('div', {class: 'dials'}, ...Object.values(dials).map(dial => dial.row)), weave.row);

    const setting = () => ({transposed: state.kind === 'transposed', size: state.size, kernel: state.kernel, stride: state.stride, padding: state.padding, dilation: state.dilation,
      outputPadding: state.kind === 'transposed' ? state.outputPadding : 0});

    // ---- the network

    function refresh() {
      const payload = {network: state.network, role: state.role, resolution: state.resolution, width: state.width}, wanted = JSON.stringify(payload);
      if (wanted === asked) return choose();
      asked = wanted;
      details.textContent = t('wait');
      server.layers(payload).then(answer => {
        if (asked !== wanted) return;
        if (answer.refused) { details.textContent = answer.refused; return complain(answer); }
        told = answer;
        row.replaceChildren(...told.layers.map((layer, n) => {
          const [channels, height] = layer.after.length === 1 ? [layer.after[0], 1] : layer.after;
          const side = 14 + 7 * Math.log2(height), deep = Math.max(2, Math.round(1.6 * Math.log2(channels)));
          const block = el('span', {class: `block ${NAMES[layer.kind]}`, style: `width:${side}px;height:${side}px;--deep:${deep}px`});
          return el('button', {type: 'button', class: 'layer', 'data-layer': n, onclick: () => pick(n), 'aria-label': `${n + 1}: ${t(NAMES[layer.kind])}, ${layer.after.join(' × ')}`},
            el('span', {class: 'block-box'}, block), el('small', {}, layer.after.join('×')));
        }));
        sum.replaceChildren(el('span', {}, el('b', {'data-parameters': told.parameters}, short(told.parameters)), ` ${t('parameters')}`), el('span', {}, el('b', {'data-cost': told.cost}, short(told.cost)), ` ${t('cost')}`));
        choose();
      }, () => { details.textContent = t('no-server'); });
    }

    // A layer's kernel, stride and padding go onto the board.
    function pick(n) {
      const layer = told.layers[n];
      change({layer: n, ...(layer.kernel ? {kind: layer.kind === 'ConvTranspose2d' ? 'transposed' : 'plain', kernel: layer.kernel, stride: layer.stride, padding: layer.padding, dilation: layer.dilation, outputPadding: 0,
        size: Math.max(2, Math.min(12, layer.before[1], layer.kind === 'ConvTranspose2d' ? 5 : 10)), row: 1, column: 1} : {})});
    }

    function choose() {
      if (!told) return;
      [...row.children].forEach((button, n) => button.setAttribute('aria-pressed', n === state.layer));
      const layer = told.layers[state.layer];
      if (!layer) { details.textContent = t('choose'); return; }
      details.replaceChildren(el('b', {}, t(NAMES[layer.kind])), ` ${layer.before.join(' × ')} → ${layer.after.join(' × ')}. `,
        layer.kernel ? t('moves', {kernel: layer.kernel, stride: layer.stride, padding: layer.padding}) + ' ' : '',
        t('has', {parameters: digits(layer.parameters), cost: short(layer.cost)}), ' ', layer.reach ? t(state.role === 'generator' ? 'paints' : 'sees', {n: layer.reach}) : t('everywhere'));
    }

    // ---- the board

    function values() {
      const {size} = setting();
      if (state.weave) return new Float64Array(size * size).fill(0.5);
      const random = randomFrom(3);
      return pixels ?? Float64Array.from({length: size * size}, () => 0.2 + 0.7 * random.uniform());
    }

    function paintBoard() {
      const now = setting(), count = outputSize(now), look = colours();
      formula.textContent = now.transposed ? `(${now.size} − 1) · ${now.stride} − 2 · ${now.padding} + ${now.dilation} · (${now.kernel} − 1) + ${now.outputPadding} + 1 = ${(now.size - 1) * now.stride - 2 * now.padding + now.dilation * (now.kernel - 1) + now.outputPadding + 1}`
        : `⌊(${now.size} + 2 · ${now.padding} − ${now.dilation} · (${now.kernel} − 1) − 1) / ${now.stride}⌋ + 1 = ${Math.floor((now.size + 2 * now.padding - now.dilation * (now.kernel - 1) - 1) / now.stride) + 1}`;
      after.dataset.size = count ?? '';
      const a = penOf(before), b = penOf(after);
      if (!a || !b) return;
      if (count === null) { says.textContent = t(now.transposed && now.outputPadding >= Math.max(now.stride, now.dilation) ? 'refused-output-padding' : 'refused-size'); return; }
      const at = {row: Math.max(0, Math.min(count - 1, state.row)), column: Math.max(0, Math.min(count - 1, state.column))};
      const rows = contributors(now, at.row), columns = contributors(now, at.column), input = values();
      const random = randomFrom(11), weights = Float64Array.from({length: now.kernel ** 2}, () => state.weave ? 0.5 + 0.45 * random.normal() : 1);
      const output = convolve(now, input, weights), edge = Math.max(now.padding, ...rows.map(([i]) => -i), ...columns.map(([i]) => -i), ...rows.map(([i]) => i - now.size + 1), ...columns.map(([i]) => i - now.size + 1), 0);
      const pad = now.transposed ? 0 : Math.min(6, edge), all = now.size + 2 * pad, cell = a.width / all;
      const grey = v => `hsl(30 ${look.dark ? 12 : 18}% ${Math.max(6, Math.min(96, 8 + 88 * v))}%)`;
      for (let i = -pad; i < now.size + pad; i++)
        for (let j = -pad; j < now.size + pad; j++) {
          const inside = i >= 0 && j >= 0 && i < now.size && j < now.size;
          a.pen.fillStyle = inside ? grey(input[i * now.size + j]) : look.ground;
          a.pen.fillRect((j + pad) * cell + 1, (i + pad) * cell + 1, cell - 2, cell - 2);
          if (!inside) { a.pen.strokeStyle = look.line; a.pen.strokeRect((j + pad) * cell + 1.5, (i + pad) * cell + 1.5, cell - 3, cell - 3); }
        }
      a.pen.strokeStyle = look.fake;
      a.pen.lineWidth = 3;
      for (const [i] of rows) for (const [j] of columns) a.pen.strokeRect((j + pad) * cell + 2.5, (i + pad) * cell + 2.5, cell - 5, cell - 5);
      const side = b.width / count, most = Math.max(...output.map(Math.abs)) || 1, hits = overlaps(now);
      for (let i = 0; i < count; i++)
        for (let j = 0; j < count; j++) {
          const reached = hits[i] * hits[j];
          const value = state.weave ? output[i * count + j] / most : reached ? output[i * count + j] / reached : 0;
          b.pen.fillStyle = grey(value);
          b.pen.fillRect(j * side + 0.5, i * side + 0.5, side - 1, side - 1);
          if (side > 20) {
            b.pen.fillStyle = value > 0.5 ? '#1c1917' : '#fafaf9';
            b.pen.font = '11px ui-sans-serif, system-ui, sans-serif';
            b.pen.textAlign = 'center';
            b.pen.fillText(reached, (j + 0.5) * side, (i + 0.5) * side + 4);
          }
        }
      b.pen.strokeStyle = look.fake;
      b.pen.lineWidth = 3;
      b.pen.strokeRect(at.column * side + 1.5, at.row * side + 1.5, side - 3, side - 3);
      const used = rows.filter(([i]) => i >= 0 && i < now.size).length * columns.filter(([i]) => i >= 0 && i < now.size).length;
      const inner = stamps(now);
      says.textContent = `${t('place', {row: at.row + 1, column: at.column + 1, n: used, of: rows.length * columns.length})} ${now.transposed ? t(inner.length > 1 ? 'uneven' : 'even', {n: inner.join(', ')}) : ''}`;
    }

    const go = (row, column) => {
      const count = outputSize(setting());
      if (count) change({row: Math.max(0, Math.min(count - 1, row)), column: Math.max(0, Math.min(count - 1, column))});
    };
    after.addEventListener('pointermove', event => {
      const count = outputSize(setting()), box = after.getBoundingClientRect();
      if (count) go(Math.floor((event.clientY - box.top) / box.height * count), Math.floor((event.clientX - box.left) / box.width * count));
    });
    after.addEventListener('keydown', event => {
      const by = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
      if (!by) return;
      event.preventDefault();
      go(state.row + by[0], state.column + by[1]);
    });

    // The cover that is shown, as few pixels.
    async function readCover() {
      if (over === state.size) return;
      over = state.size;
      pixels = null;
      const src = cover?.();
      if (!src) return;
      const image = new Image();
      image.src = src;
      await image.decode().catch(() => {});
      const size = state.size, pen = Object.assign(document.createElement('canvas'), {width: size, height: size}).getContext('2d');
      pen.imageSmoothingQuality = 'high';
      pen.drawImage(image, 0, 0, size, size);
      const {data} = pen.getImageData(0, 0, size, size);
      if (size !== state.size) return;
      pixels = Float64Array.from({length: size * size}, (_, n) => (0.3 * data[4 * n] + 0.59 * data[4 * n + 1] + 0.11 * data[4 * n + 2]) / 255);
      paintBoard();
    }

    return {
      show(next) {
        state = next;
        for (const [name, {box}] of Object.entries(boxes)) box.value = state[name];
        role.set(state.role);
        kind.set(state.kind);
        for (const [name, dial] of Object.entries(dials)) dial.set(state[name]);
        dials.outputPadding.row.hidden = state.kind !== 'transposed';
        weave.set(!!state.weave);
        readCover();
        refresh();
        paintBoard();
      },
    };
  },
};
