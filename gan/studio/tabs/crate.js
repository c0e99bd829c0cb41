// The plane: whole places are seeds, seed = x mod 65536 + 65536 * (y mod 65536); the middle of the picture is at (x, y).
const $ = selector => element.querySelector(selector);
const canvas = $('canvas'), pen = canvas.getContext('2d'), stand = $('.stand'), seedBox = $('#seed');
const genreBox = $('#genre');  // seen only where the generator has genres
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const MOST_KEPT = 800, ASIDE = 4;  // tiles in the browser's memory; tiles of one question while moving
const SMALL = 128;  // pixels a side of a picture of whose colours the server is asked
const mod = n => ((n % props.side) + props.side) % props.side;
const seedAt = (i, j) => mod(i) + props.side * mod(j);

let x = 0, y = 0, across = 3, truncation = 1;
let steered = {genre: '', kind: 0, colours: ''};  // what is asked of all covers of the plane; empty is any
let guest = null;      // a cover that is shown although it lies nowhere on the plane, such as a child
let asked = '';        // the place of the newest cover that was asked for or shown, and how it is drawn
let tiles = new Map(); // seed to {image, drawn, born}
let lens = new Image();
let by = '';           // the control that moves the plane, where its steps are one for Back
let turn = 0, shown = 0;  // of covers that were asked for: the number of the last, and of the one that is shown
let jumps = 0;         // an answer from before the last jump is not shown: it would be a cover from far away
let begun = false;     // nothing is shown before the link is read
const busy = {cover: false, tiles: false};
let moved = 0, glide = null, drifting = false, snap = true, dirty = true;

// ---- the picture of the plane

function tileSize() { return Math.min(canvas.clientWidth, canvas.clientHeight) / across; }

function visible() {
  const size = tileSize(), places = [];
  const right = canvas.clientWidth / size / 2 + 0.5, down = canvas.clientHeight / size / 2 + 0.5;
  for (let j = Math.ceil(y - down); j <= y + down; j++)
    for (let i = Math.ceil(x - right); i <= x + right; i++) places.push({i, j, far: Math.hypot(i - x, j - y)});
  return places.sort((a, b) => a.far - b.far);
}

function paint(now) {
  const scale = devicePixelRatio, size = tileSize(), style = getComputedStyle(element);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map(n => Math.round(n * scale));
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.imageSmoothingQuality = 'high';
  const place = (image, left, top, side, alpha) => {
    pen.save();
    pen.beginPath();
    pen.roundRect(left, top, side, side, Math.min(4, side / 16));
    pen.clip();
    pen.fillStyle = style.getPropertyValue('--background-fill-secondary');
    pen.fillRect(left, top, side, side);
    pen.globalAlpha = alpha;
    if (image) pen.drawImage(image, left, top, side, side);
    pen.restore();
  };
  const gap = Math.max(2, size * 0.03), middle = [canvas.clientWidth / 2, canvas.clientHeight / 2];
  let unfinished = false;
  for (const {i, j} of visible()) {
    const tile = tiles.get(seedAt(i, j)), age = calm.matches ? 1 : Math.min(1, (now - (tile?.born ?? now)) / 160);
    if (tile && age < 1) unfinished = true;
    place(tile?.image, middle[0] + (i - x - 0.5) * size + gap / 2, middle[1] + (j - y - 0.5) * size + gap / 2, size - gap, age);
  }
  const side = size * 1.08, [left, top] = middle.map(n => n - side / 2);
  pen.save();
  pen.shadowColor = 'rgb(0 0 0 / 0.45)';
  pen.shadowBlur = 18;
  pen.fillStyle = style.getPropertyValue('--primary-600');
  pen.beginPath();
  pen.roundRect(left - 3, top - 3, side + 6, side + 6, 6);
  pen.fill();
  pen.restore();
  place(lens.naturalWidth && lens, left, top, side, 1);
  return unfinished;
}

let last = 0;
function frame(now) {
  const passed = Math.min(now - last, 100);
  last = now;
  if (glide) {
    const t = Math.min(1, (now - glide.start) / glide.length), eased = 1 - (1 - t) ** 3;
    x = glide.from[0] + (glide.to[0] - glide.from[0]) * eased;
    y = glide.from[1] + (glide.to[1] - glide.from[1]) * eased;
    if (t === 1) [x, y] = glide.to, glide = null;
    touched();
  } else if (drifting) {
    x += Math.cos(now / 9000) * passed / 3000;
    y += Math.sin(now / 7000) * passed / 3000;
    touched();
  }
  if (dirty) dirty = paint(now);
  requestAnimationFrame(frame);
}

// ---- moving

function touched(control = '') {
  by = control;
  $('.drag-hint')?.remove();
  guest = null;
  dirty = true;
  moved ||= performance.now();
  ask();
  restWhereItIs();
}

function jump() {
  asked = '';
  shown = turn;
  return ++jumps;
}

function glideTo(to, length = 180) {
  drift(false);
  glide = {from: [x, y], to, start: performance.now(), length: calm.matches ? 0 : length};
}

function settle() { if (snap && !guest) glideTo([Math.round(x), Math.round(y)]); }

function drift(on) {
  drifting = on;
  $('#drift').setAttribute('aria-pressed', on);
}

function zoom(to) {
  across = Math.min(8, Math.max(2, to));
  dim($('#in'), across === 2);
  dim($('#out'), across === 8);
  dirty = true;
  ask();
}

// ---- what the server draws: the cover, always where the middle is now, and tiles, which it does not wait for

const drawnHow = () => [truncation, ...Object.values(steered)].join(' ');
const placeNow = () => `${x} ${y} ${drawnHow()}`;

function missing() {
  const seeds = visible().map(({i, j}) => seedAt(i, j)).filter(seed => tiles.get(seed)?.drawn !== drawnHow());
  return [...new Set(seeds)];
}

function ask() {
  if (!begun || !canvas.clientWidth) return;
  const drawn = drawnHow(), spot = placeNow();
  if (guest || spot === asked) moved = 0;
  else if (!busy.cover) {
    const before = jumps, number = ++turn, start = moved || performance.now();
    moved = 0;
    asked = spot;
    look('cover', {x, y}, async ({cover}) => {
      const image = await decoded(cover.src);
      if (before !== jumps || number < shown) return;
      shown = number;
      show(image, cover);
      performance.measure('cover', {start});
      restWhereItIs();
    });
  }
  const seeds = busy.tiles ? [] : missing().slice(0, drifting || fingers.size ? ASIDE : props.most_tiles);
  if (seeds.length) look('tiles', {tiles: seeds}, async answer => {
    const images = await Promise.all(answer.tiles.map(decoded));
    images.forEach((image, n) => keepTile(seeds[n], {image, drawn, born: last}));
  });
}

// One question of a kind at a time. The next cover is on its way while this one's picture is unpacked; tiles are
// unpacked first, as they are missing until then.
async function look(kind, question, answered) {
  busy[kind] = true;
  try {
    const answer = await arrived(server.look({truncation, ...steered, ...question}));
    if (answer.refused) return complain(refusal(answer));
    const unpacked = answered(answer);
    if (kind === 'tiles') await unpacked;
  } catch (error) {
    complain(word('no-answer'));
    await aWhile();
    if (kind === 'cover') asked = '';
  } finally {
    busy[kind] = false;
  }
  ask();
}

async function decoded(src) {
  const image = new Image();
  image.src = src;
  await image.decode();
  return image;
}

function keepTile(seed, tile) {
  tiles.delete(seed);
  tiles.set(seed, tile);
  dirty = true;
  if (tiles.size > MOST_KEPT) tiles.delete(tiles.keys().next().value);
}

function show(image, cover) {
  lens = image;
  putInSleeve(stand, cover);
  dirty = true;
  const seed = new URLSearchParams(cover.address).get('seed');
  if (document.activeElement !== seedBox) seedBox.value = seed ?? '';
}

// The cover that is shown is the one under the middle, and stays it.
function restWhereItIs() {
  const still = !glide && !drifting && !fingers.size && asked === placeNow() && shown === turn;
  if (still && place.tab === 'crate') rest();
}

// When nothing moves, a screen reader is told the cover, and the cover is the place.
function rest(how = {by}) {
  if (begun && place.tab !== 'crate') return;  // the visitor went on meanwhile
  $('.where').textContent = $('.details').textContent;
  move({cover: stand.dataset.address}, how);
}

// A cover by its address: a seed's lies on the plane, any other is a guest. False when it was refused.
async function open(query, how = {instead: true}) {
  const before = jump();
  let answer;
  try {
    answer = await arrived(server.open(query));
  } catch {
    return complain(word('unreachable')), false;
  }
  if (answer.refused) return complain({text: refusal(answer), stays: true}), false;
  const image = await decoded(answer.cover.src);
  if (before !== jumps) return true;  // the visitor went elsewhere meanwhile
  jump();
  const parts = new URLSearchParams(answer.cover.address), seed = Number(parts.get('seed'));
  drift(false);
  glide = null;
  setTruncation(Number(parts.get('truncation')));
  setSteered({genre: parts.get('genre') ?? '', kind: Number(parts.get('kind') ?? 0), colours: parts.get('colours') ?? ''});
  guest = parts.has('latents') ? answer.cover : null;
  if (!guest) x = seed % props.side, y = Math.floor(seed / props.side);
  asked = guest ? '' : placeNow();
  show(image, answer.cover);
  rest(how);
  ask();
  return true;
}

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

function goToSeed(seed, control) {
  jump();
  drift(false);
  glide = guest = null;
  x = seed % props.side;
  y = Math.floor(seed / props.side);
  touched(control);
}

seedBox.addEventListener('input', () => {
  const text = seedBox.value.trim(), good = /^\d+$/.test(text) && Number(text) <= props.largest_seed;
  $('#mistake').textContent = good || !text ? '' : word('seed-limits');
  seedBox.setAttribute('aria-invalid', Boolean(text) && !good);
  if (good) goToSeed(Number(text), 'seed');
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
  $('.truncation output').textContent = inDigits(value);
}
$('#truncation').addEventListener('input', event => {
  setTruncation(Number(event.target.value));
  guest ? ask() : touched('truncation');
});
$('#truncation').addEventListener('change', () => { if (guest) openGuest(); });

// The guest anew, as the tools say now.
function openGuest() {
  const parts = new URLSearchParams(guest.address);
  parts.set('truncation', truncation);
  for (const [name, value] of Object.entries(steered)) value ? parts.set(name, value) : parts.delete(name);
  open(parts.toString(), {by: 'truncation'});
}

// ---- steering: genre, kind and colours, of a generator that knows them

function setSteered(change) {
  Object.assign(steered, change);
  genreBox.value = steered.genre;
  for (const [panel, asked] of [['#kinds', steered.kind], ['#colours', steered.colours]])
    $(`${panel} .any`).setAttribute('aria-pressed', !asked);
  for (const row of element.querySelectorAll('#kinds .row')) row.setAttribute('aria-pressed', Number(row.value) === steered.kind);
  const named = steered.colours.split('-').map(share => share.replace(/\d+$/, ''));
  for (const swatch of element.querySelectorAll('.swatch')) swatch.setAttribute('aria-pressed', named.includes(swatch.value));
}

function steer(change) {
  setSteered(change);
  guest ? openGuest() : touched();
}

function unfold(button, panel) {
  const on = panel.hidden;
  panel.hidden = !on;
  button.setAttribute('aria-expanded', on);
  return on;
}

// The kind of the cover in the sleeve is chosen at once, and the rows of all kinds are there to choose another.
async function moreLikeThis() {
  if (!unfold($('#kind'), $('#kinds'))) return;
  const rows = $('#kinds .rows'), cover = stand.dataset.address;
  if (!rows.children.length) rows.textContent = word('kinds-coming');
  const answer = await reached(server.kinds(cover));
  if (!answer.rows) return;
  if (!rows.children.length) rows.replaceChildren(...answer.rows.map((src, n) => {
    const row = make('button', {type: 'button', className: 'row', value: String(n + 1)});
    row.append(make('img', {src, alt: word('kind-n', {n: n + 1})}));
    row.addEventListener('click', () => steer({kind: n + 1}));
    return row;
  }));
  steer({kind: answer.likely});
  $(`#kinds .row[value="${answer.likely}"]`).scrollIntoView({block: 'nearest'});
}

async function inColoursOf(question) {
  const answer = await reached(server.colours(question));
  if (answer.colours !== undefined) steer({colours: answer.colours});
}

// Colours need few pixels: what is sent is small, whatever a camera made.
async function inColoursOfPicture(file) {
  const {wrong, bitmap} = await pictureOf(file);
  if (wrong) return complain(wrong);
  const canvas = make('canvas', {width: SMALL, height: SMALL}), side = Math.min(bitmap.width, bitmap.height);
  canvas.getContext('2d').drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, SMALL, SMALL);
  await inColoursOf({file: canvas.toDataURL('image/png').split(',')[1]});
}

function swatch([name, rgb]) {
  const button = make('button', {type: 'button', className: 'swatch', value: name, title: word(`colour-${name}`)});
  button.setAttribute('aria-label', word(`colour-${name}`));
  button.style.setProperty('--colour', `rgb(${rgb})`);
  button.addEventListener('click', () => {
    const chosen = [...element.querySelectorAll('.swatch')].filter(other => (other === button) !== (other.getAttribute('aria-pressed') === 'true'));
    steer({colours: chosen.map(other => `${other.value}1`).join('-')});
  });
  return button;
}

$('#kind').hidden = !props.kinds;
$('#kind').addEventListener('click', moreLikeThis);
$('#kinds .any').addEventListener('click', () => steer({kind: 0}));
$('#colour').hidden = !Object.keys(props.colours).length;
$('#colour').addEventListener('click', () => unfold($('#colour'), $('#colours')));
$('#colours .any').addEventListener('click', () => steer({colours: ''}));
$('#colours .its').addEventListener('click', () => inColoursOf({cover: stand.dataset.address}));
$('#colours .swatches').append(...Object.entries(props.colours).map(swatch));
$('#colours input').addEventListener('change', async event => {
  const [file] = event.target.files;
  if (file) await inColoursOfPicture(file);
  event.target.value = '';
});
for (const [button, panel] of [['#kind', '#kinds'], ['#colour', '#colours']]) $(panel).addEventListener('keydown', event => {
  if (event.key !== 'Escape') return;
  unfold($(button), $(panel));
  $(button).focus();
});
genreBox.parentElement.hidden = !props.genres.length;
genreBox.append(...props.genres.map(name => new Option(name, name)));
genreBox.addEventListener('change', () => steer({genre: genreBox.value}));

const stillness = () => { $('#drift').hidden = calm.matches; if (calm.matches) drift(false); };
calm.addEventListener('change', stillness);
new ResizeObserver(() => { dirty = true; ask(); }).observe(canvas);
listen('place', async ({tab, cover}) => {
  if (!begun || tab !== 'crate' || !cover || cover === stand.dataset.address) return;
  if (!await open(cover)) move({cover: stand.dataset.address}, {instead: true});
});

// ---- the opening: the cover that the link names, or else the one that came with the page

async function begin() {
  x = Number(new URLSearchParams(props.value.address).get('seed'));
  stillness();
  zoom(across);
  requestAnimationFrame(frame);
  const linked = place.cover && await open(place.cover);
  if (!linked) asked = placeNow(), show(await decoded(props.value.src), props.value);
  rest({instead: true});
  begun = true;
  performance.mark('first-cover');
  ask();
}
begin();
