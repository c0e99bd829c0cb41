// A whole GAN in two dimensions: what it learns from, one step of each network, what can be measured and drawn of it.

import {randomFrom} from './random.js';
import {adamStep, backward, forward, inputGradient, makeAdam, makeNetwork, throughGradient, zerosLike} from './network.js';
import {LOSSES, oneCentred, zeroCentred} from './losses.js';

export const BATCH = 64, HIDDEN = 16, LATENTS = 2;
export const SHAPES = ['line', 'ring', 'gaussians', 'drawn'];
export const PENALTIES = {none: 'none', zero: 'zero-centred', one: 'one-centred'};
// Each loss of gan/losses.py, without a penalty and with one: its paper's, or, for hinge, whose papers normalise weights instead, the one towards 0.
export const KINDS = [
  {loss: 'logistic', penalty: 'none'}, {loss: 'wasserstein', penalty: 'none'}, {loss: 'hinge', penalty: 'none'}, {loss: 'relativistic', penalty: 'none'},
  {loss: 'logistic', penalty: 'zero-centred'}, {loss: 'wasserstein', penalty: 'one-centred'}, {loss: 'hinge', penalty: 'zero-centred'}, {loss: 'relativistic', penalty: 'zero-centred'},
];
export const WEIGHTS = {'none': 0, 'zero-centred': 0.1, 'one-centred': 0.1};

// ---- real points

export function realPoint(shape, random, drawn = []) {
  if (shape === 'drawn' && drawn.length) {
    const [x, y] = drawn[random.whole(drawn.length)];
    return [x + 0.02 * random.normal(), y + 0.02 * random.normal()];
  }
  if (shape === 'line') {
    const t = 2 * random.uniform() - 1;
    return [0.85 * t + 0.02 * random.normal(), 0.5 * t + 0.02 * random.normal()];
  }
  const turn = 2 * Math.PI * (shape === 'ring' ? random.uniform() : random.whole(8) / 8), wide = shape === 'ring' ? 0.02 : 0.04;
  return [0.8 * Math.cos(turn) + wide * random.normal(), 0.8 * Math.sin(turn) + wide * random.normal()];
}

export function realPoints(shape, count, random, drawn) {
  const points = new Float64Array(2 * count);
  for (let n = 0; n < count; n++) points.set(realPoint(shape, random, drawn), 2 * n);
  return points;
}

export function latentPoints(count, random) {
  return Float64Array.from({length: LATENTS * count}, () => 2 * random.uniform() - 1);
}

// ---- the game

// A new game: two networks with weights that the seed decides, and everything that training changes.
// `settings`: {shape, drawn, loss, penalty, weight, rate, beta1, beta2, discriminatorSteps, seed}.
export function newGame(settings) {
  const random = randomFrom(settings.seed);
  const generator = makeNetwork([LATENTS, HIDDEN, HIDDEN, 2], random), discriminator = makeNetwork([2, HIDDEN, HIDDEN, 1], random);
  return {
    settings, random, generator, discriminator, steps: 0, discriminatorSteps: 0,
    generatorAdam: makeAdam(generator, settings), discriminatorAdam: makeAdam(discriminator, settings),
  };
}

// What one step is computed from; drawn in this order, so that games with one seed see the same points.
export function nextBatch({settings, random}) {
  return {
    latents: latentPoints(BATCH, random),
    real: realPoints(settings.shape, BATCH, random, settings.drawn),
    others: realPoints(settings.shape, BATCH, random, settings.drawn),
    mix: Float64Array.from({length: BATCH}, random.uniform),
  };
}

// The discriminator's loss, penalty and slopes: what it minimises is loss + weight * penalty.
export function discriminatorSlopes({discriminator, settings}, {real, mix}, fake) {
  const rows = real.length / 2, sums = zerosLike(discriminator);
  const atReal = forward(discriminator, real, rows), atFake = forward(discriminator, fake, rows);
  const told = LOSSES[settings.loss].discriminator(atReal.output, atFake.output);
  backward(discriminator, atReal, told.atReal, sums);
  backward(discriminator, atFake, told.atFake, sums);
  let penalty = 0;
  const punish = (tape, kind) => {
    const way = inputGradient(discriminator, tape), [value, slope] = kind(way.gradient, rows);
    penalty += value;
    throughGradient(discriminator, tape, way, slope.map(s => settings.weight * s), sums);
  };
  if (settings.penalty === 'zero-centred') for (const tape of [atReal, atFake]) punish(tape, zeroCentred);
  if (settings.penalty === 'one-centred') {
    const between = real.map((value, k) => value + mix[k >> 1] * (fake[k] - value));
    punish(forward(discriminator, between, rows), oneCentred);
  }
  let right = 0;
  for (let n = 0; n < rows; n++) right += atReal.output[n] > atFake.output[n];
  return {loss: told.loss, penalty, slopes: sums, pairs: right / rows};
}

// The generator's loss and slopes, and the slope at each generated point: where to it should not go.
export function generatorSlopes({generator, discriminator, settings}, {latents, others}) {
  const rows = latents.length / LATENTS, tape = forward(generator, latents, rows);
  const atFake = forward(discriminator, tape.output, rows), atReal = forward(discriminator, others, rows);
  const told = LOSSES[settings.loss].generator(atReal.output, atFake.output);
  const atPoints = backward(discriminator, atFake, told.atFake), sums = zerosLike(generator);
  backward(generator, tape, atPoints, sums);
  return {loss: told.loss, slopes: sums, atPoints, points: tape.output};
}

export function discriminatorStep(game, batch = nextBatch(game)) {
  const fake = forward(game.generator, batch.latents, batch.latents.length / LATENTS).output;
  const told = discriminatorSlopes(game, batch, fake);
  adamStep(game.discriminator, told.slopes, game.discriminatorAdam);
  game.discriminatorSteps++;
  return told;
}

export function generatorStep(game, batch = nextBatch(game)) {
  const told = generatorSlopes(game, batch);
  adamStep(game.generator, told.slopes, game.generatorAdam);
  game.steps++;
  return told;
}

// The discriminator as often as the settings say, then the generator once.
export function bothSteps(game) {
  let batch, told;
  for (let n = 0; n < game.settings.discriminatorSteps; n++) told = discriminatorStep(game, batch = nextBatch(game));
  const then = generatorStep(game, batch);
  return {lossD: told.loss, penalty: told.penalty, pairs: told.pairs, lossG: then.loss};
}

// ---- what can be measured and drawn

// Of the real points the share that has a generated one near (recall), and the other way round (precision).
export function measure(game, random, count = 192, near = 0.12) {
  const real = realPoints(game.settings.shape, count, random, game.settings.drawn);
  const fake = forward(game.generator, latentPoints(count, random), count).output;
  const found = (from, among) => {
    let hits = 0;
    for (let n = 0; n < count; n++)
      for (let m = 0; m < count; m++) {
        const x = from[2 * n] - among[2 * m], y = from[2 * n + 1] - among[2 * m + 1];
        if (x * x + y * y < near * near) {
          hits++;
          break;
        }
      }
    return hits / count;
  };
  return {recall: found(real, fake), precision: found(fake, real)};
}

// Places that are the same for every frame are laid out once.
const laid = new Map();
function layOut(key, count, place) {
  if (!laid.has(key)) {
    const places = new Float64Array(2 * count);
    for (let n = 0; n < count; n++) [places[2 * n], places[2 * n + 1]] = place(n);
    laid.set(key, places);
  }
  return laid.get(key);
}

// The discriminator's logits on `side` x `side` places of the square from -reach to reach, row by row from the top.
export function heat({discriminator}, side, reach) {
  const places = layOut(`heat ${side} ${reach}`, side * side, n =>
    [reach * (2 * (n % side + 0.5) / side - 1), reach * (1 - 2 * (Math.floor(n / side) + 0.5) / side)]);
  return forward(discriminator, places, side * side).output;
}

// Where the generator puts the crossings of an even net of latents, row by row.
export function bentNet({generator}, lines, points = lines) {
  const latents = layOut(`net ${lines} ${points}`, lines * points, n =>
    [2 * (n % points) / (points - 1) - 1, 2 * Math.floor(n / points) / (lines - 1) - 1]);
  return forward(generator, latents, lines * points).output;
}
