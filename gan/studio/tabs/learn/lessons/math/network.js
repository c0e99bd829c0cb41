// A small network of linear layers: forwards, backwards, and backwards through its own gradient. Pure functions on arrays.
//
// Rows are examples. A layer holds `weight`, (outputs, inputs) row by row as torch has it, and `bias`; between layers is tanh.

export function makeNetwork(sizes, random) {
  return sizes.slice(1).map((outputs, n) => {
    const inputs = sizes[n], scale = 1 / Math.sqrt(inputs);
    const weight = Float64Array.from({length: outputs * inputs}, () => random.normal() * scale);
    return {inputs, outputs, weight, bias: new Float64Array(outputs)};
  });
}

// Zeros in the shape of a network's numbers: where gradients are summed up.
export const zerosLike = network => network.map(({weight, bias}) => ({weight: new Float64Array(weight.length), bias: new Float64Array(bias.length)}));

// (rows, inputs) to (rows, outputs). Returns all that the way back needs: what each layer was given, and the output.
export function forward(network, input, rows) {
  const given = [];
  let x = input;
  network.forEach(({inputs, outputs, weight, bias}, n) => {
    given.push(x);
    const y = new Float64Array(rows * outputs);
    for (let row = 0; row < rows; row++)
      for (let o = 0; o < outputs; o++) {
        let sum = bias[o];
        for (let i = 0, w = o * inputs, from = row * inputs; i < inputs; i++) sum += weight[w + i] * x[from + i];
        y[row * outputs + o] = n < network.length - 1 ? Math.tanh(sum) : sum;
      }
    x = y;
  });
  return {rows, given, output: x};
}

// The chain rule, from the last layer to the first. `slope` is the loss's slope at the output, (rows, outputs); the weights'
// slopes are added to `sums` where it is given. `inside[n]`, where given, is added at what goes into the n-th tanh. Returns
// the slope at the input.
export function backward(network, {rows, given}, slope, sums = null, inside = []) {
  let delta = slope;
  for (let n = network.length - 1; n >= 0; n--) {
    const {inputs, outputs, weight} = network[n], x = given[n];
    if (sums && delta) addOuter(sums[n].weight, delta, x, rows, outputs, inputs, sums[n].bias);
    const below = delta ? times(delta, weight, rows, outputs, inputs) : new Float64Array(rows * inputs);
    if (n > 0) for (let k = 0; k < below.length; k++) below[k] = below[k] * (1 - x[k] * x[k]) + (inside[n - 1]?.[k] ?? 0);
    delta = below;
  }
  return delta;
}

// The slope of the single output at each input, and what `throughGradient` needs of the way.
export function inputGradient(network, {rows, given}) {
  const at = [], before = [];
  let s = new Float64Array(rows).fill(1);
  for (let n = network.length - 1; n >= 0; n--) {
    const {inputs, outputs, weight} = network[n], x = given[n];
    at[n] = s;
    const g = before[n] = times(s, weight, rows, outputs, inputs);
    if (n > 0) s = g.map((value, k) => value * (1 - x[k] * x[k]));
  }
  return {gradient: before[0], at, before};
}

// A penalty on the input's gradient teaches the weights: the chain rule once more, through `inputGradient` itself (double
// backpropagation, Drucker and Le Cun 1992). `slope` is the penalty's slope at that gradient, (rows, inputs).
export function throughGradient(network, tape, {at, before}, slope, sums) {
  const {rows, given} = tape, inside = [];
  let t = slope;
  network.forEach(({inputs, outputs, weight}, n) => {
    addOuter(sums[n].weight, at[n], t, rows, outputs, inputs);
    if (n === network.length - 1) return;
    const h = given[n + 1], g = before[n + 1], next = new Float64Array(rows * outputs);
    inside[n] = new Float64Array(rows * outputs);
    for (let row = 0; row < rows; row++)
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) sum += weight[o * inputs + i] * t[row * inputs + i];
        const k = row * outputs + o, steep = 1 - h[k] * h[k];
        next[k] = sum * steep;
        inside[n][k] = sum * g[k] * -2 * h[k] * steep;  // tanh'' = -2 tanh tanh'
      }
    t = next;
  });
  backward(network, tape, null, sums, inside);
}

function times(delta, weight, rows, outputs, inputs) {
  const below = new Float64Array(rows * inputs);
  for (let row = 0; row < rows; row++)
    for (let o = 0; o < outputs; o++) {
      const d = delta[row * outputs + o];
      if (d !== 0) for (let i = 0, w = o * inputs, to = row * inputs; i < inputs; i++) below[to + i] += d * weight[w + i];
    }
  return below;
}

function addOuter(sum, delta, x, rows, outputs, inputs, bias = null) {
  for (let row = 0; row < rows; row++)
    for (let o = 0; o < outputs; o++) {
      const d = delta[row * outputs + o];
      if (d === 0) continue;
      if (bias) bias[o] += d;
      for (let i = 0, w = o * inputs, from = row * inputs; i < inputs; i++) sum[w + i] += d * x[from + i];
    }
}

// Adam (Kingma and Ba 2015, algorithm 1): each number's step has its own length.
export function makeAdam(network, {rate, beta1, beta2}) {
  return {rate, beta1, beta2, steps: 0, first: zerosLike(network), second: zerosLike(network)};
}

export function adamStep(network, slopes, adam) {
  adam.steps++;
  const {rate, beta1, beta2} = adam, one = 1 - beta1 ** adam.steps, two = 1 - beta2 ** adam.steps;
  network.forEach((layer, n) => {
    for (const name of ['weight', 'bias']) {
      const values = layer[name], slope = slopes[n][name], m = adam.first[n][name], v = adam.second[n][name];
      for (let k = 0; k < values.length; k++) {
        m[k] = beta1 * m[k] + (1 - beta1) * slope[k];
        v[k] = beta2 * v[k] + (1 - beta2) * slope[k] * slope[k];
        values[k] -= rate * m[k] / one / (Math.sqrt(v[k] / two) + 1e-8);
      }
    }
  });
}
