// The arithmetic of convolutions along one side (Dumoulin and Visin 2016), as PyTorch counts. A setting is
// {transposed, size, kernel, stride, padding, dilation, outputPadding}.

// How long the output is, or null where PyTorch refuses the setting.
export function outputSize({transposed, size, kernel, stride, padding, dilation, outputPadding = 0}) {
  const reach = dilation * (kernel - 1) + 1;
  if (transposed) {
    if (outputPadding >= Math.max(stride, dilation)) return null;
    const out = (size - 1) * stride - 2 * padding + reach + outputPadding;
    return out > 0 ? out : null;
  }
  if (size + 2 * padding < reach) return null;
  return Math.floor((size + 2 * padding - reach) / stride) + 1;
}

// Which inputs an output is computed from: [[input, number of the kernel's weight], ...]. Those below 0 or from `size` on are padding.
export function contributors(setting, output) {
  const {transposed, size, kernel, stride, padding, dilation} = setting, found = [];
  for (let tap = 0; tap < kernel; tap++) {
    if (!transposed) found.push([output * stride - padding + tap * dilation, tap]);
    else {
      const place = output + padding - tap * dilation;
      if (place % stride === 0 && place >= 0 && place / stride < size) found.push([place / stride, tap]);
    }
  }
  return found;
}

// How many inputs reach each output: uneven numbers are where checkerboards come from (Odena et al. 2016).
export function overlaps(setting) {
  const count = outputSize(setting);
  return count === null ? null : Array.from({length: count}, (_, n) => contributors(setting, n).filter(([i]) => i >= 0 && i < setting.size).length);
}

// How many inputs reach an output far from every edge of a transposed convolution: the different numbers, smallest first.
// They are those of an endless picture, so that the edge of a small one is not taken for a checkerboard.
export function stamps({kernel, stride, dilation}) {
  const found = Array.from({length: stride}, (_, place) => Array.from({length: kernel}, (_, tap) => (tap * dilation - place) % stride).filter(rest => rest === 0).length);
  return [...new Set(found)].sort((a, b) => a - b);
}

// The convolution itself, in two dimensions, of (size, size) numbers with (kernel, kernel) weights, row by row.
export function convolve(setting, input, weights) {
  const count = outputSize(setting), {size, kernel} = setting;
  const along = Array.from({length: count}, (_, n) => contributors(setting, n).filter(([i]) => i >= 0 && i < size));
  const output = new Float64Array(count * count);
  for (let row = 0; row < count; row++)
    for (let column = 0; column < count; column++) {
      let sum = 0;
      for (const [i, a] of along[row]) for (const [j, b] of along[column]) sum += input[i * size + j] * weights[a * kernel + b];
      output[row * count + column] = sum;
    }
  return output;
}
