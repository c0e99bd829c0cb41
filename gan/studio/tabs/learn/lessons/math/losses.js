// The losses of gan/losses.py, each with its slope at every logit. Higher logits mean "more real".

const softplus = x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sigmoid = x => 1 / (1 + Math.exp(-x));

// The mean of `value(n)` over the logits, and `slope(n)` divided by their number.
function mean(logits, value, slope) {
  let sum = 0;
  const count = logits.length, slopes = new Float64Array(count);
  for (let n = 0; n < count; n++) {
    sum += value(n);
    slopes[n] = slope(n) / count;
  }
  return [sum / count, slopes];
}

export const LOSSES = {
  // Goodfellow et al. 2014, equation 1, and the non-saturating form of section 3
  logistic: {
    discriminator(real, fake) {
      const [a, atReal] = mean(real, n => softplus(-real[n]), n => -sigmoid(-real[n]));
      const [b, atFake] = mean(fake, n => softplus(fake[n]), n => sigmoid(fake[n]));
      return {loss: a + b, atReal, atFake};
    },
    generator(real, fake) {
      const [loss, atFake] = mean(fake, n => softplus(-fake[n]), n => -sigmoid(-fake[n]));
      return {loss, atFake};
    },
  },
  // Arjovsky et al. 2017, algorithm 1
  wasserstein: {
    discriminator(real, fake) {
      const [a, atReal] = mean(real, n => -real[n], () => -1);
      const [b, atFake] = mean(fake, n => fake[n], () => 1);
      return {loss: a + b, atReal, atFake};
    },
    generator(real, fake) {
      const [loss, atFake] = mean(fake, n => -fake[n], () => -1);
      return {loss, atFake};
    },
  },
  // Lim and Ye 2017: D learns nothing from what it tells apart clearly; G's is Wasserstein's
  hinge: {
    discriminator(real, fake) {
      const [a, atReal] = mean(real, n => Math.max(0, 1 - real[n]), n => real[n] < 1 ? -1 : 0);
      const [b, atFake] = mean(fake, n => Math.max(0, 1 + fake[n]), n => fake[n] > -1 ? 1 : 0);
      return {loss: a + b, atReal, atFake};
    },
    generator: (real, fake) => LOSSES.wasserstein.generator(real, fake),
  },
  // Huang et al. 2024, equation 2: each generated point is judged against one real point
  relativistic: {
    discriminator(real, fake) {
      const [loss, atFake] = mean(fake, n => softplus(fake[n] - real[n]), n => sigmoid(fake[n] - real[n]));
      return {loss, atReal: atFake.map(slope => -slope), atFake};
    },
    generator(real, fake) {
      const [loss, atFake] = mean(fake, n => softplus(real[n] - fake[n]), n => -sigmoid(real[n] - fake[n]));
      return {loss, atFake};
    },
  },
};

// Half the mean squared length of the gradients, (rows, 2), and its slope at them (Mescheder et al. 2018, equation 9).
export function zeroCentred(gradient, rows) {
  let sum = 0;
  for (const value of gradient) sum += value * value;
  return [sum / rows / 2, gradient.map(value => value / rows)];
}

// The mean of (length - 1) squared (Gulrajani et al. 2017, equation 3), likewise.
export function oneCentred(gradient, rows) {
  let sum = 0;
  const slope = new Float64Array(gradient.length);
  for (let row = 0; row < rows; row++) {
    const x = gradient[2 * row], y = gradient[2 * row + 1], length = Math.sqrt(x * x + y * y + 1e-12);
    sum += (length - 1) ** 2;
    const share = 2 * (length - 1) / length / rows;
    slope[2 * row] = share * x;
    slope[2 * row + 1] = share * y;
  }
  return [sum / rows, slope];
}
