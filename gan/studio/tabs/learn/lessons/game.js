// Lesson 1, two networks and a game: a whole GAN on a plane, trained here in the browser.

import {choice, colours, curves, digits, el, legend, penOf, percent, short, slider, tick} from './drawing.js';
import {randomFrom} from './math/random.js';
import {LOSSES} from './math/losses.js';
import {forward} from './math/network.js';
import {KINDS, SHAPES, WEIGHTS, bentNet, bothSteps, discriminatorStep, generatorSlopes, generatorStep, heat, latentPoints, measure, newGame, nextBatch, realPoints} from './math/toy.js';
import {recipeOf} from './recipe.js';

const REACH = 1.3, SHOWN = 160, PHASE = 1250, MOST_DRAWN = 150, MOST_AHEAD = 3000;
const BETA2 = 0.9;

export default {
  defaults: {data: 'ring', loss: 'relativistic', penalty: 'zero-centred', weight: 0.1, rate: 0.003, beta1: 0, k: 1, seed: 1, at: 0, points: '', view: 'heat net', all: 0},
  limits: {data: SHAPES, loss: Object.keys(LOSSES), penalty: Object.keys(WEIGHTS), weight: [0, 100], rate: [1e-5, 0.1], beta1: [0, 0.99], k: [1, 10, 1],
    seed: [0, 2 ** 32 - 1, 1], at: [0, MOST_AHEAD, 1], points: /^[\w.~-]{0,2000}$/, view: /^(heat|net|arrows|\s)*$/, all: [0, 1, 1]},
  steps: [
    {data: 'ring', at: 0, all: 0, view: ''},
    {data: 'ring', at: 0, all: 0, view: 'heat'},
    {data: 'ring', at: 30, all: 0, view: 'heat arrows'},
    {data: 'ring', at: 400, all: 0, view: 'heat net'},
    {data: 'gaussians', loss: 'logistic', penalty: 'none', beta1: 0, at: 300, all: 0, view: 'heat'},
    {data: 'gaussians', beta1: 0.9, at: 0, all: 1, view: 'heat'},
    {data: 'gaussians', beta1: 0, at: 0, all: 1, view: 'heat'},
  ],

  open(stage, {t, change, copy, link, calm}, begin) {
    let state = begin, made = '', games = [], playing = false, slow = false, phase = -1, since = 0, frame = 0, frames = [], toldAt = 0, closed = false;
    let drawn = pointsOf(state.points), ahead = 0, past = [], seen = {};
    const shownLatents = latentPoints(SHOWN, randomFrom(77));

    const canvas = el('canvas', {class: 'plane', role: 'img', 'aria-label': t('plane')});
    const grid = el('div', {class: 'six', hidden: true}), small = KINDS.map(kind => {
      const one = el('canvas', {role: 'img', 'aria-label': t(`kind-${kind.loss}-${kind.penalty}`)}), told = el('figcaption', {});
      grid.append(el('figure', {}, one, told));
      return {canvas: one, told, kind};
    });
    const caption = el('p', {class: 'phase', role: 'status'}), chart = el('canvas', {class: 'chart', role: 'img', 'aria-label': t('curves')});
    const numbers = el('p', {class: 'numbers'});
    const button = (key, act, kind = '') => el('button', {type: 'button', class: kind, 'data-do': key, onclick: act}, t(key));
    const play = button('play', () => setPlaying(!playing), 'keep');
    const slowly = button('slow', () => setSlow(!slow));
    const single = {
      d: button('step-d', () => once('d')), g: button('step-g', () => once('g')), both: button('step-both', () => once('both')),
    };
    const setters = {
      data: choice(t('data'), SHAPES.map(shape => [shape, t(shape)]), data => change({data, at: 0})),
      loss: choice(t('loss'), Object.keys(LOSSES).map(loss => [loss, t(loss)]), loss => change({loss, at: 0})),
      penalty: choice(t('penalty'), Object.keys(WEIGHTS).map(penalty => [penalty, t(penalty)]), penalty => change({penalty, weight: WEIGHTS[penalty], at: 0})),
    };
    const dials = {
      weight: slider(t('weight'), {min: -3, max: 1.5, step: 0.25, name: 'weight'}, x => change({weight: +(10 ** x).toPrecision(2)}), x => short(10 ** x)),
      rate: slider(t('rate'), {min: -4, max: -1.5, step: 0.1, name: 'rate'}, x => change({rate: +(10 ** x).toPrecision(2)}), x => digits(10 ** x, 5)),
      beta1: slider(t('beta1'), {min: 0, max: 0.95, step: 0.05, name: 'beta1'}, beta1 => change({beta1})),
      k: slider(t('k'), {min: 1, max: 10, step: 1, name: 'k'}, k => change({k})),
    };
    const views = Object.fromEntries(['heat', 'net', 'arrows'].map(view => [view, tick(t(view), on => {
      const now = new Set(state.view.split(' ').filter(Boolean));
      on ? now.add(view) : now.delete(view);
      change({view: [...now].join(' ')});
    })]));
    const all = tick(t('all'), on => change({all: on ? 1 : 0, at: 0}));
    const drawing = el('p', {class: 'aside drawing', hidden: true}, t('draw-here'), ' ', button('clear', () => { drawn = []; change({points: '', at: 0}); }, 'quiet'));

    stage.append(
      el('div', {class: 'view'}, canvas, grid, caption, legend([['real', t('real')], ['fake', t('fake')], ['warm', t('heat-key')]]), drawing),
      el('div', {class: 'tools'},
        el('p', {class: 'buttons'}, play, slowly, ...Object.values(single)),
        el('p', {class: 'buttons'}, button('again', () => begin_(state.at = 0, true)), button('dice', () => change({seed: 1 + Math.floor(Math.random() * 99999), at: 0}))),
        setters.data.group, setters.loss.group, setters.penalty.group,
        el('div', {class: 'dials'}, ...Object.values(dials).map(dial => dial.row)),
        el('p', {class: 'ticks'}, all.row, ...Object.values(views).map(view => view.row)),
        numbers, el('figure', {class: 'chart-box'}, chart, legend([['real', t('loss-d')], ['fake', t('loss-g')]])),
        el('p', {class: 'buttons'}, button('copy-recipe', () => copy(recipeOf({...state, beta2: BETA2, steps: state.k}), 'recipe-copied')))));

    // ---- games

    const settingsOf = kind => ({shape: state.data, drawn, rate: state.rate, beta1: state.beta1, beta2: BETA2, seed: state.seed,
      discriminatorSteps: state.k, weight: state.weight, ...kind});

    function begin_(at = state.at, keepPlaying = false) {
      const kinds = state.all ? KINDS.map(kind => ({...kind, weight: WEIGHTS[kind.penalty]})) : [{loss: state.loss, penalty: state.penalty}];
      games = kinds.map(kind => ({game: newGame(settingsOf(kind)), told: null}));
      ahead = Math.max(0, Math.min(MOST_AHEAD, Math.round(at)));
      past = [];
      phase = -1;
      if (!keepPlaying) setPlaying(false);
      seen = {};
      wake();
    }

    // What the dials change while the game goes on, and what begins it anew.
    function show(next) {
      state = next;
      const restarts = JSON.stringify([state.data, state.loss, state.penalty, state.seed, state.all, state.at, state.points]);
      for (const {game} of games) {
        if (!state.all) game.settings.weight = state.weight;
        game.settings.discriminatorSteps = state.k;
        for (const adam of [game.generatorAdam, game.discriminatorAdam]) Object.assign(adam, {rate: state.rate, beta1: state.beta1});
      }
      setters.data.set(state.data);
      setters.loss.set(state.loss);
      setters.penalty.set(state.penalty);
      dials.weight.set(Math.log10(Math.max(state.weight, 1e-3)));
      dials.rate.set(Math.log10(state.rate));
      dials.beta1.set(state.beta1);
      dials.k.set(state.k);
      for (const [name, view] of Object.entries(views)) view.set(state.view.split(' ').includes(name));
      all.set(!!state.all);
      for (const part of [setters.loss.group, setters.penalty.group, dials.weight.row, slowly, ...Object.values(single), views.net.row, views.arrows.row]) part.hidden = !!state.all;
      dials.weight.row.hidden = !!state.all || state.penalty === 'none';
      canvas.hidden = !!state.all;
      grid.hidden = !state.all;
      const own = state.data === 'drawn';
      drawing.hidden = !own || !!state.all;
      if (own) Object.assign(canvas, {tabIndex: 0}), canvas.setAttribute('aria-label', t('draw-help'));
      else canvas.removeAttribute('tabindex'), canvas.setAttribute('aria-label', t('plane'));
      if (restarts !== made) {
        made = restarts;
        drawn = pointsOf(state.points);
        begin_();
      }
      wake();
    }

    // ---- time

    function setPlaying(on) {
      playing = on;
      play.textContent = t(on ? 'pause' : 'play');
      play.setAttribute('aria-pressed', on);
      if (on) ahead = 0;
      if (!on) caption.textContent = '';
      wake();
    }

    function setSlow(on) {
      slow = on;
      slowly.setAttribute('aria-pressed', on);
      phase = -1;
      if (on && !playing) setPlaying(true);
      if (!on) caption.textContent = '';
    }

    function once(which) {
      setPlaying(false);
      const one = games[0];
      if (which === 'both') one.told = bothSteps(one.game);
      if (which === 'd') {
        const told = discriminatorStep(one.game);
        one.told = {...one.told, lossD: told.loss, penalty: told.penalty, pairs: told.pairs};
      }
      if (which === 'g') one.told = {...one.told, lossG: generatorStep(one.game).loss};
      caption.textContent = t(`did-${which}`);
      note();
      wake();
    }

    function note() {
      const [{game, told}] = games;
      if (told?.lossD !== undefined && told?.lossG !== undefined) past.push([game.steps, told.lossD, told.lossG]);
      if (past.length > 600) past = past.filter((_, n) => n % 2);
    }

    // Slow motion: each of the four parts of a step is told, then done.
    const parts = ['deal', 'judge', 'ask', 'move'];
    let batch = null;
    function slowPart(now) {
      if (phase >= 0 && now - since < PHASE) return;
      phase = (phase + 1) % 4;
      since = now;
      const one = games[0];
      if (phase === 0) batch = nextBatch(one.game);
      if (phase === 1) {
        const told = discriminatorStep(one.game, batch);
        one.told = {...one.told, lossD: told.loss, penalty: told.penalty, pairs: told.pairs};
      }
      if (phase === 3) {
        one.told = {...one.told, lossG: generatorStep(one.game, batch).loss};
        note();
      }
      caption.textContent = `${phase + 1}. ${t(parts[phase])}`;
    }

    let running = false, last = 0;
    function wake() { if (!running && !closed) { running = true; requestAnimationFrame(turn); } }

    function turn(now) {
      running = false;
      if (closed) return;
      if (!stage.offsetParent) return void setTimeout(wake, 300);
      const start = performance.now();
      if (ahead > 0) {  // a link to a later moment: as fast as it goes
        while (ahead > 0 && performance.now() - start < 24) {
          for (const one of games) one.told = bothSteps(one.game);
          ahead--;
        }
        note();
        caption.textContent = ahead ? t('ahead', {n: ahead}) : '';
      } else if (playing) {
        if (slow && !state.all) slowPart(now);
        else {
          for (const one of games) one.told = bothSteps(one.game);
          note();
        }
        frames.push(now);
        while (frames.length && now - frames[0] > 1000) frames.shift();
      }
      frame++;
      paint();
      last = now;
      if (playing || ahead) wake();
    }

    // ---- pictures

    function paint() {
      const look = colours();
      if (state.all) small.forEach(({canvas: one, told, kind}, n) => {
        if (!games[n] || seen[n] && playing && (frame + n) % 3) return;  // while playing, two of the six a frame in turn
        picture(one, games[n], {heat: 20, points: 90}, look);
        if (seen[n] && playing && frame % 15 > 2) return;
        seen[n] = measure(games[n].game, randomFrom(9), 96);
        told.replaceChildren(el('b', {}, t(`kind-${kind.loss}-${kind.penalty}`)), el('span', {}, t('found-short', {n: percent(seen[n].recall)})));
      });
      else picture(canvas, games[0], {heat: 36, points: SHOWN}, look);
      if (seen.one && playing && performance.now() - toldAt < 120) return;  // nobody reads numbers that change with every frame
      toldAt = performance.now();
      const {game, told} = games[0];
      if (frame % 18 === 1 || !playing || !seen.one) seen.one = measure(game, randomFrom(9));
      const loss = x => x === undefined ? '–' : short(x);
      numbers.replaceChildren(...[
        [t('steps'), String(game.steps), 'steps'], [t('loss-d'), loss(told?.lossD), 'loss-d'], [t('loss-g'), loss(told?.lossG), 'loss-g'],
        [t('recall'), percent(seen.one.recall), 'recall'], [t('precision'), percent(seen.one.precision), 'precision'],
        [t('fps'), playing && frames.length > 5 ? String(frames.length) : '–', 'fps'],
      ].map(([name, value, key]) => el('span', {'data-number': key}, `${name} `, el('b', {}, value))));
      numbers.dataset.recall = seen.one.recall;
      curves(chart, [{values: past.map(([x, d]) => [x, d]), colour: look.real}, {values: past.map(([x, , g]) => [x, g]), colour: look.fake}]);
    }

    // The real points that are shown stay the same while the game goes on.
    let realsOf = '', reals_ = null;
    function shownReals(points) {
      const wanted = `${state.data} ${points} ${state.data === 'drawn' ? drawn.length : ''} ${state.points}`;
      if (wanted !== realsOf) [realsOf, reals_] = [wanted, realPoints(state.data, points, randomFrom(5), drawn)];
      return reals_;
    }

    function picture(one, {game}, {heat: side, points}, look) {
      const pen_ = penOf(one);
      if (!pen_) return;
      const {pen, width} = pen_, view = new Set(state.view.split(' '));
      const px = x => (x / REACH + 1) / 2 * width, py = y => (1 - y / REACH) / 2 * width;
      pen.fillStyle = `rgb(${look.middle})`;
      pen.fillRect(0, 0, width, width);
      const reals = shownReals(points);
      const {output} = forward(game.generator, shownLatents.subarray(0, 2 * points), points);
      if (view.has('heat')) paintHeat(pen, game, side, width, look, reals, output, points);
      if (view.has('net') && !state.all) paintNet(pen, game, look, px, py);
      const dot = Math.max(1.6, width / 190);
      const dots = (places, radius, colour) => {  // one path of them all is drawn in a fraction of the time
        pen.fillStyle = colour;
        pen.beginPath();
        for (let n = 0; n < points; n++) {
          const x = px(places[2 * n]), y = py(places[2 * n + 1]);
          pen.moveTo(x + radius, y);
          pen.arc(x, y, radius, 0, 7);
        }
        pen.fill();
      };
      pen.globalAlpha = 0.75;
      if (game.settings.shape !== 'drawn' || drawn.length) dots(reals, dot, look.real);
      pen.globalAlpha = 1;
      dots(output, dot + 1.2, look.dark ? '#1c1917' : '#fff');
      dots(output, dot + 0.3, look.fake);
      const slowArrows = slow && playing && phase >= 2;
      if ((view.has('arrows') || slowArrows) && !state.all) paintArrows(pen, game, output, points, look, px, py);
      if (state.data === 'drawn' && cursor && document.activeElement === canvas && !state.all) {
        pen.strokeStyle = look.text;
        pen.lineWidth = 1.5;
        pen.beginPath(); pen.arc(px(cursor[0]), py(cursor[1]), 7, 0, 7); pen.stroke();
      }
    }

    // Blue where a point would be taken for real, orange where for generated. A logistic discriminator has a zero; of the others
    // only differences count, so their middle lies between what they say of real and of generated points.
    const off = document.createElement('canvas'), soft = off.getContext('2d');
    let image = null;
    function paintHeat(pen, game, side, width, look, reals, fakes, points) {
      const logits = heat(game, side, REACH);
      let middle = 0, scale = 1;
      if (game.settings.loss !== 'logistic') {
        const average = xs => xs.reduce((a, b) => a + b, 0) / xs.length;
        middle = (average(forward(game.discriminator, reals, points).output) + average(forward(game.discriminator, fakes, points).output)) / 2;
        scale = Math.sqrt(average(logits.map(x => (x - middle) ** 2))) || 1;
      }
      if (image?.width !== side) {
        off.width = off.height = side;
        image = soft.createImageData(side, side);
      }
      for (let n = 0; n < logits.length; n++) {
        const p = Math.tanh((logits[n] - middle) / scale), to = p > 0 ? look.realGround : look.fakeGround, share = Math.abs(p);
        for (let c = 0; c < 3; c++) image.data[4 * n + c] = look.middle[c] + share * (to[c] - look.middle[c]);
        image.data[4 * n + 3] = 255;
      }
      soft.putImageData(image, 0, 0);
      pen.imageSmoothingEnabled = true;
      pen.imageSmoothingQuality = 'high';
      pen.drawImage(off, 0, 0, width, width);
    }

    function paintNet(pen, game, look, px, py) {
      const lines = 11, fine = 23, across = bentNet(game, lines, fine);
      pen.strokeStyle = look.fake;
      pen.globalAlpha = 0.55;
      pen.lineWidth = 1;
      for (let a = 0; a < lines; a++) {
        pen.beginPath();
        for (let b = 0; b < fine; b++) pen.lineTo(px(across[2 * (a * fine + b)]), py(across[2 * (a * fine + b) + 1]));
        pen.stroke();
      }
      const down = bentNet(game, fine, lines);
      for (let b = 0; b < lines; b++) {
        pen.beginPath();
        for (let a = 0; a < fine; a++) pen.lineTo(px(down[2 * (a * lines + b)]), py(down[2 * (a * lines + b) + 1]));
        pen.stroke();
      }
      pen.globalAlpha = 1;
    }

    // Where each generated point is sent: against the slope of the generator's loss.
    function paintArrows(pen, game, points, count, look, px, py) {
      const others = realPoints(game.settings.shape, count, randomFrom(6), drawn);
      const {atPoints} = generatorSlopes(game, {latents: shownLatents.subarray(0, 2 * count), others});
      const lengths = Array.from({length: count}, (_, n) => Math.hypot(atPoints[2 * n], atPoints[2 * n + 1])).sort((a, b) => a - b);
      const scale = 0.22 / (lengths[Math.floor(count * 0.9)] || 1);
      pen.strokeStyle = pen.fillStyle = look.text;
      pen.lineWidth = 1.2;
      for (let n = 0; n < count; n += 2) {
        const x = points[2 * n], y = points[2 * n + 1];
        let dx = -scale * atPoints[2 * n], dy = -scale * atPoints[2 * n + 1];
        const length = Math.hypot(dx, dy), most = 0.32;
        if (length > most) [dx, dy] = [dx / length * most, dy / length * most];
        if (length < 0.01) continue;
        const [x0, y0, x1, y1] = [px(x), py(y), px(x + dx), py(y + dy)], turn = Math.atan2(y1 - y0, x1 - x0);
        pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x1, y1); pen.stroke();
        pen.beginPath(); pen.moveTo(x1, y1); pen.lineTo(x1 - 5 * Math.cos(turn - 0.45), y1 - 5 * Math.sin(turn - 0.45));
        pen.lineTo(x1 - 5 * Math.cos(turn + 0.45), y1 - 5 * Math.sin(turn + 0.45)); pen.fill();
      }
    }

    // ---- points drawn by hand, with a finger or with keys

    let cursor = [0, 0], pressed = false;
    const placeOf = event => {
      const box = canvas.getBoundingClientRect();
      return [REACH * (2 * (event.clientX - box.left) / box.width - 1), REACH * (1 - 2 * (event.clientY - box.top) / box.height)];
    };
    function add([x, y]) {
      if (drawn.length >= MOST_DRAWN) return;
      const near = drawn.at(-1);
      if (near && Math.hypot(near[0] - x, near[1] - y) < 0.05) return;
      drawn.push([x, y]);
      for (const {game} of games) game.settings.drawn = drawn;
      wake();
    }
    const keepDrawn = () => { drawn = drawn.slice(0, MOST_DRAWN); const points = textOf(drawn); made = JSON.stringify([state.data, state.loss, state.penalty, state.seed, state.all, state.at, points]); change({points}); };
    canvas.addEventListener('pointerdown', event => {
      if (state.data !== 'drawn') return;
      pressed = true;
      canvas.setPointerCapture(event.pointerId);
      add(placeOf(event));
    });
    canvas.addEventListener('pointermove', event => { if (pressed) add(placeOf(event)); });
    canvas.addEventListener('pointerup', () => { if (pressed) { pressed = false; keepDrawn(); } });
    canvas.addEventListener('keydown', event => {
      const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key];
      if (state.data !== 'drawn' || !(way || event.key === ' ' || event.key === 'Enter')) return;
      event.preventDefault();
      if (way) cursor = cursor.map((x, n) => Math.max(-1.2, Math.min(1.2, x + 0.06 * way[n])));
      else { add(cursor); keepDrawn(); }
      wake();
    });
    canvas.addEventListener('focus', wake);
    canvas.addEventListener('blur', wake);

    return {
      show,
      close() { closed = true; },
      now: () => ({at: Math.min(MOST_AHEAD, games[0]?.game.steps ?? 0)}),
      step() { if (!calm() && state.all) setPlaying(true); },
    };
  },
};

// Points as text for a link: two letters each, on a net of 64 by 64.
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
export const textOf = points => points.map(place => place.map(x => LETTERS[Math.max(0, Math.min(63, Math.round((x / REACH + 1) * 31.5)))]).join('')).join('');
export function pointsOf(text) {
  const places = [];
  for (let n = 0; n + 1 < text.length && places.length < MOST_DRAWN; n += 2) {
    const place = [text[n], text[n + 1]].map(letter => LETTERS.indexOf(letter));
    if (place.every(x => x >= 0)) places.push(place.map(x => (x / 31.5 - 1) * REACH));
  }
  return places;
}
