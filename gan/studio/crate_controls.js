// Goes on where crate.js ends: what moves the plane, and how the page opens.

// ---- mouse, finger, wheel, keys

const fingers = new Map();
let pressed = null;

canvas.addEventListener('pointerdown', event => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, event);
  glide = null;
  drift(false);
  performance.clearMeasures('cover');
  pressed = fingers.size === 1 ? {at: [event.clientX, event.clientY], far: false} : null;
});
canvas.addEventListener('pointermove', event => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const spread = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY); };
  const apart = fingers.size === 2 && spread();
  fingers.set(event.pointerId, event);
  if (apart) zoom(across * apart / Math.max(1, spread()));
  if (pressed) pressed.far ||= Math.hypot(event.clientX - pressed.at[0], event.clientY - pressed.at[1]) > 5;
  if (pressed && !pressed.far) return;
  const size = tileSize() * fingers.size;
  x -= (event.clientX - before.clientX) / size;
  y -= (event.clientY - before.clientY) / size;
  touched();
});
for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, event => {
  if (!fingers.delete(event.pointerId) || fingers.size) return;
  if (pressed && !pressed.far && end === 'pointerup') {
    const box = canvas.getBoundingClientRect(), size = tileSize();
    const aside = [event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2].map(n => n / size);
    guest = null;
    return glideTo([Math.round(x + aside[0]), Math.round(y + aside[1])], 300);
  }
  settle();
  if (!snap) touched();
});
canvas.addEventListener('wheel', event => {
  event.preventDefault();
  zoom(across * Math.exp(event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
}, {passive: false});

const STEPS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
canvas.addEventListener('keydown', event => {
  const step = STEPS[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (step && event.shiftKey) {
    glide = null;
    drift(false);
    [x, y] = [x, y].map((n, axis) => Math.round((n + step[axis] / 10) * 10) / 10);
    touched();
  } else if (step) glideTo((glide?.to ?? [x, y]).map((n, axis) => Math.round(n) + step[axis]));
  else if ('+=-_'.includes(event.key)) zoom(across + ('+='.includes(event.key) ? -1 : 1));
  else return;
  event.preventDefault();
});

// ---- the tools

function goToSeed(seed) {
  jumps++;
  drift(false);
  glide = guest = null;
  x = seed % props.side;
  y = Math.floor(seed / props.side);
  touched();
}

seedBox.addEventListener('input', () => {
  const text = seedBox.value.trim(), good = /^\d+$/.test(text) && Number(text) <= props.largest_seed;
  $('#mistake').textContent = good || !text ? '' : word('seed-limits');
  seedBox.setAttribute('aria-invalid', Boolean(text) && !good);
  if (good) goToSeed(Number(text));
});
seedBox.addEventListener('blur', () => {
  $('#mistake').textContent = '';
  seedBox.value = new URLSearchParams(stand.dataset.address).get('seed') ?? '';
});
$('#dice').addEventListener('click', () => goToSeed(crypto.getRandomValues(new Uint32Array(1))[0]));
$('#snap').addEventListener('click', event => {
  snap = !snap;
  event.currentTarget.setAttribute('aria-pressed', snap);
  settle();
});
$('#drift').addEventListener('click', () => {
  guest = glide = null;
  drift(!drifting);
  if (!drifting) snap ? settle() : touched();
});
$('#in').addEventListener('click', () => zoom(Math.round(across) - 1));
$('#out').addEventListener('click', () => zoom(Math.round(across) + 1));

function setTruncation(value) {
  truncation = value;
  $('#truncation').value = value;
  $('.truncation output').textContent = value;
}
$('#truncation').addEventListener('input', event => {
  setTruncation(Number(event.target.value));
  guest ? ask() : touched();
});
$('#truncation').addEventListener('change', () => { if (guest) openGuest(); });

// The guest anew, as the tools say now.
function openGuest() {
  const parts = new URLSearchParams(guest.address);
  parts.set('truncation', truncation);
  parts.set('genre', genre);
  open(parts.toString());
}

function setGenre(name) {
  genre = name;
  if (genreBox) genreBox.value = name;
}
genreBox?.append(...props.genres.map(name => new Option(name, name)));
genreBox?.addEventListener('change', () => {
  setGenre(genreBox.value);
  guest ? openGuest() : touched();
});

const stillness = () => { $('#drift').hidden = calm.matches; if (calm.matches) drift(false); };
calm.addEventListener('change', stillness);
new ResizeObserver(() => { dirty = true; ask(); }).observe(canvas);
document.addEventListener('open', event => open(event.detail.address));

// ---- the opening: the cover that the link names, or else the one that came with the page

async function begin() {
  const link = new URLSearchParams(location.search);
  x = Number(new URLSearchParams(props.value.address).get('seed'));
  stillness();
  zoom(across);
  requestAnimationFrame(frame);
  const linked = (link.has('seed') || link.has('latents')) && await open(location.search.slice(1));
  if (!linked) show(await decoded(props.value.src), props.value, `${x} ${y} ${how()}`);
  begun = true;
  performance.mark('first-cover');
  ask();
}
begin();
