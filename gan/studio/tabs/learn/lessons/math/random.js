// Random numbers that a seed decides, the same in every browser.

// mulberry32: 32 bits of state, good enough for points on a plane.
export function randomFrom(seed) {
  let state = seed >>> 0, spare = null;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  // Box and Muller 1958: two uniform numbers give two normal ones
  const normal = () => {
    if (spare !== null) {
      const kept = spare;
      spare = null;
      return kept;
    }
    const length = Math.sqrt(-2 * Math.log(1 - uniform())), turn = 2 * Math.PI * uniform();
    spare = length * Math.sin(turn);
    return length * Math.cos(turn);
  };
  return {uniform, normal, whole: below => Math.floor(uniform() * below)};
}
