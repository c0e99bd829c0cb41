// How far two distributions on a line are apart. A distribution is its shares in cells of one width, `low` the first cell's middle.

// A heap of width `sigma` around `middle`; of no width, all of it in the nearest cell.
export function heap(middle, sigma, {cells, low, cell}) {
  const shares = new Float64Array(cells);
  if (sigma < cell / 2) shares[Math.max(0, Math.min(cells - 1, Math.round((middle - low) / cell)))] = 1;
  else for (let n = 0; n < cells; n++) shares[n] = Math.exp(-0.5 * ((low + n * cell - middle) / sigma) ** 2);
  const sum = shares.reduce((a, b) => a + b, 0);
  return shares.map(share => share / sum);
}

// Jensen and Shannon's divergence, in nats: what the first GAN's best discriminator makes the generator minimise.
export function jensenShannon(p, q) {
  let sum = 0;
  for (let n = 0; n < p.length; n++) {
    const middle = (p[n] + q[n]) / 2;
    if (p[n] > 0) sum += p[n] * Math.log(p[n] / middle) / 2;
    if (q[n] > 0) sum += q[n] * Math.log(q[n] / middle) / 2;
  }
  return sum;
}

// Wasserstein's distance: how much must be carried, times how far. On a line, the area between the two running sums.
export function wasserstein(p, q, cell) {
  let over = 0, area = 0;
  for (let n = 0; n < p.length; n++) {
    over += p[n] - q[n];
    area += Math.abs(over) * cell;
  }
  return area;
}
