// What is bred lives here in the browser: the cover shown, who its parents are, and the way back.
const $ = selector => element.querySelector(selector);
const stand = $('.stand'), slider = $('.difference');
const parentsOf = new Map(), portraits = new Map();  // query to queries; query to data address
let current = null;   // {address, base, amounts}: the cover shown, and from which one the faders moved it how far
let mate = null, past = [], kept = [], litterSeed = 0;

const still = () => Array(props.faders).fill(0);

// ---- the cover and its children

const asked = {litter: '', fade: ''};  // which cover the question under way is about: meanwhile another may have come
const litter = asker(
  () => {
    asked.litter = current.address;
    return server.litter({parent: current.address, mate, difference: Number(slider.value), seed: litterSeed});
  },
  answer => {
    if (asked.litter !== current.address) return;
    putInStand(answer.parent);
    if (answer.mate) portraits.set(answer.mate.address, answer.mate.src);
    const parents = [answer.parent.address, answer.mate?.address].filter(Boolean);
    $('.litter').dataset.of = answer.parent.address;
    const focused = [...$('.litter').children].findIndex(item => item.contains(document.activeElement));
    $('.litter').replaceChildren(...answer.children.map((cover, n) => card(cover, parents, n)));
    $('.litter').children[focused]?.querySelector('.choose').focus({preventScroll: true});
    say('sleeved');
    showFamily();
  });

function card(cover, parents, n) {
  const crossed = parents.length > 1, half = n < 6 ? 'blend-n' : 'mix-n';
  const name = word(crossed ? half : 'child-n', {n: n + 1}), item = make('div', {className: 'child'});
  Object.assign(item.dataset, {address: cover.address, parents: parents.join(' ')});
  const choose = make('button', {type: 'button', className: 'choose', title: word('choose-child')});
  choose.append(make('img', {src: cover.src, alt: word('cover-of', {name})}));
  choose.onclick = () => {
    parentsOf.set(cover.address, parents);
    portraits.set(cover.address, cover.src);
    mate = null;
    go(cover.address);
  };
  const keep = make('button', {type: 'button', className: 'keep-child', textContent: '+', title: word('keep')});
  keep.setAttribute('aria-label', `${word('keep')}: ${name}`);
  keep.dataset.send = 'keep';
  item.append(choose, keep);
  if (crossed) item.append(make('span', {className: 'way', textContent: word(n < 6 ? 'blend' : 'mix')}));
  return item;
}

function putInStand(cover) {
  portraits.set(cover.address, cover.src);
  putInSleeve(stand, cover, titled(cover.address));
  stand.dataset.parents = (parentsOf.get(cover.address) ?? []).join(' ');
  dim($('.undo'), !past.length);
}

function titled(address) {
  const generations = generation(address);
  return generations ? `${word('generation-n', {n: generations})}` : undefined;
}

function generation(address, depth = 0) {
  const parents = parentsOf.get(address) ?? [];
  return !parents.length || depth > 50 ? 0 : 1 + Math.max(...parents.map(parent => generation(parent, depth + 1)));
}

// Keys 1 to 9 choose a child, wherever in the tab one is but in a box.
document.addEventListener('keydown', event => {
  if (place.tab !== 'breed' || !/^[1-9]$/.test(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches('input[type=text], textarea, select')) return;
  $('.litter').children[event.key - 1]?.querySelector('.choose').click();
});

// Makes a cover the parent.
function go(address, remember = true, how = {}) {
  if (remember && current) past.push(current);
  current = {address, base: address, amounts: still()};
  newLitter();
  refresh();
  settle(how);
}

function newLitter() { litterSeed = crypto.getRandomValues(new Uint32Array(1))[0]; }

// What is bred is the place: the address has the line back to a seed, the history all that `restore` takes.
function settle(how) {
  const line = [], families = [];
  for (let one = current.address; one && line.length < 9; one = parentsOf.get(one)?.[0]) line.push(one);
  for (const [child, parents] of family(current.address)) families.push([child, parents]);
  const breed = {current, mate, litterSeed, past: past.slice(-30), families, difference: Number(slider.value)};
  move({cover: current.address, more: {line: pack(line.slice(1))}, kept: {breed}}, how);
}

function restore({families, difference, ...rest}) {
  for (const [child, parents] of families) if (!parentsOf.has(child)) parentsOf.set(child, parents);
  ({current, mate, litterSeed, past} = structuredClone(rest));
  slider.value = difference;
  refresh();
}

// A cover with its parents, theirs, and so on: at most 64 covers.
function family(address) {
  const found = new Map([[address, parentsOf.get(address) ?? []]]);
  for (const [, parents] of found) for (const parent of parents) if (found.size < 64 && !found.has(parent)) found.set(parent, parentsOf.get(parent) ?? []);
  return found;
}

function refresh() {
  hand.fader = -1;  // whatever is moved from here on begins a step
  describe();
  showFaders();
  showMates();
  if (element.offsetParent) $('.litter').dataset.of = '', litter(), fade(true);
}

function describe() {
  $('.dial output').textContent = inPercent(slider.value);
  slider.disabled = mate !== null;
}

slider.addEventListener('input', () => { describe(); litter(); });
slider.addEventListener('change', () => settle({by: 'difference'}));
$('.again').addEventListener('click', () => { newLitter(); litter(); settle(); });
$('.undo').addEventListener('click', () => {
  current = past.pop();
  mate = null;
  refresh();
  settle();
});

// ---- crossing

function showMates() {
  const known = kept.map(({address}) => ({address, src: portraits.get(address), name: nameOf(address)}));
  const choose = address => { mate = address === mate ? null : address; showMates(); describe(); litter(); settle(); };
  covers($('.mates'), known.filter(cover => cover.address !== current?.address), mate, choose, word('no-mates'));
}

async function fetchPortraits(addresses) {
  const missing = [...new Set(addresses)].filter(address => !portraits.has(address)).slice(0, 64);
  const pictures = await drawn(missing);
  for (const address of missing) portraits.set(address, '');  // not asked for again where another generator drew it
  for (const {address, src} of pictures) portraits.set(address, src);
  return missing.length > 0;
}

listen('shelved', async shelved => {
  for (const cover of shelved) if (cover.parents.length && !parentsOf.has(cover.address)) parentsOf.set(cover.address, cover.parents);
  await fetchPortraits(shelved.map(cover => cover.address));
  kept = shelved.filter(cover => portraits.get(cover.address));
  showMates();
});

// ---- faders

// A drag of one fader is one step back, and so is a burst of keys on it. `hand` is what moves a fader, or did last.
const PAUSE = 1000;  // milliseconds between two keys of a burst, at most
let hand = {fader: -1, since: 0, held: false, last: 0};

function take(fader) {
  const goesOn = hand.fader === fader && (hand.held || performance.now() - hand.last < PAUSE);
  if (!goesOn) past.push({...current, amounts: [...current.amounts]});
  hand = {fader, since: goesOn ? hand.since : Date.now(), held: true, last: 0};
}

function letGo() { Object.assign(hand, {held: false, last: performance.now()}); }

const fade = asker(
  ends => {
    asked.fade = current.base;
    return server.fade({cover: current.base, amounts: current.amounts, ends});
  },
  (answer, ends) => {
    if (asked.fade !== current.base) return;
    const {address} = answer.cover;
    if (ends && address !== current.base && !parentsOf.has(address)) parentsOf.set(address, [current.base]);
    const changed = current.address !== address;
    current.address = address;
    if (changed || ends) putInStand(answer.cover);
    if (!ends) return;
    answer.ends.forEach((src, n) => { $('.faders').querySelectorAll('img')[n].src = src; });
    if ($('.litter').dataset.of !== address) litter();
    showFamily();
    if (place.tab === 'breed' && place.cover !== address) settle(hand.fader < 0 ? {instead: true} : {by: `fader ${hand.since}`});
  });

function showFaders() {
  if (!$('.faders').childElementCount) $('.faders').append(...still().map((_, n) => fader(n)));
  $('.faders').querySelectorAll('input').forEach((input, n) => {
    input.value = current.amounts[n];
    dim(input.closest('.fader').querySelector('.middle'), !current.amounts[n]);
  });
}

function fader(n) {
  const [low, high] = (props.names[n] ?? []).map(end => word(`fader-${end}`));  // measured; without a clear name it stays a number
  const row = make('div', {className: 'fader'}), name = low ? word('fader-between', {low, high}) : word('fader-n', {n: n + 1});
  const input = make('input', {type: 'range', min: -1, max: 1, step: 0.02, value: 0});
  input.setAttribute('aria-label', name);
  const end = (value, label) => {
    const button = make('button', {type: 'button', className: 'end'});
    button.setAttribute('aria-label', `${name}: ${label}`);
    button.append(make('img', {alt: ''}));
    button.onclick = () => { input.value = value; moved(); settled(); };
    return button;
  };
  const moved = () => {
    take(n);
    current.amounts = current.amounts.map((amount, other) => other === n ? Number(input.value) : amount);
    dim(middle, !current.amounts[n]);
    fade(false);
  };
  const settled = () => { letGo(); fade(true); };
  input.addEventListener('input', moved);
  input.addEventListener('change', settled);
  const middle = make('button', {type: 'button', className: 'middle', textContent: '○', title: word('fader-middle')});
  middle.setAttribute('aria-label', `${name}: ${word('fader-middle')}`);
  middle.onclick = () => { input.value = 0; input.focus({preventScroll: true}); moved(); settled(); };  // it hides itself
  const head = make('span', {className: 'name'}), between = make('span', {className: 'between'});
  head.append(make('span', {className: 'called', textContent: low ? `${low} – ${high}` : name}), middle);
  between.append(head, input);
  row.append(end(-1, low ?? word('fader-left')), between, end(1, high ?? word('fader-right')));
  return row;
}

// ---- the family, from the cover back to the seeds

async function showFamily() {
  const covers = [...family(current.address).keys()];
  if (await fetchPortraits(covers)) return showFamily();
  const rows = [];  // by generation, seeds first
  for (const address of covers) (rows[generation(address)] ??= []).push(address);
  const size = 64, gap = 14, across = Math.max(...rows.map(row => row.length));
  const tree = $('.family'), lines = [], places = new Map();
  rows.forEach((row, column) => row.forEach((address, n) => places.set(address, [
    column * (size + 2 * gap), ((across - row.length) / 2 + n) * (size + gap)])));
  for (const [address, [left, top]] of places) for (const parent of parentsOf.get(address) ?? []) {
    const from = places.get(parent);
    if (!from) continue;
    const [x1, y1, x2, y2] = [from[0] + size, from[1] + size / 2, left, top + size / 2], bend = (x1 + x2) / 2;
    lines.push(`<path d="M${x1} ${y1}C${bend} ${y1} ${bend} ${y2} ${x2} ${y2}"/>`);
  }
  const width = rows.length * (size + 2 * gap) - 2 * gap, height = across * (size + gap) - gap;
  const inner = make('div', {className: 'tree'});
  Object.assign(inner.style, {width: `${width}px`, height: `${height}px`});
  inner.innerHTML = `<svg aria-hidden="true" width="${width}" height="${height}">${lines.join('')}</svg>`;
  for (const [address, [left, top]] of places) {
    const name = generation(address) ? word('generation-n', {n: generation(address)}) : nameOf(address);
    const button = make('button', {type: 'button', title: name});
    Object.assign(button.style, {left: `${left}px`, top: `${top}px`});
    button.setAttribute('aria-current', address === current.address);
    button.append(make('img', {src: portraits.get(address) ?? '', alt: word('cover-of', {name})}));
    button.onclick = () => { if (address !== current.address) mate = null, go(address); };
    inner.append(button);
  }
  const focused = tree.firstElementChild?.contains(document.activeElement);
  tree.replaceChildren(inner);
  if (focused) inner.querySelector('[aria-current=true]').focus({preventScroll: true});
  tree.scrollLeft = tree.scrollWidth;
}

// ---- the cover that one is looking at, and the way back

listen('place', ({tab, cover, more, kept}) => {
  if (tab !== 'breed' || !cover) return;
  if (kept.breed?.current.address === cover) {
    if (current?.address !== cover || litterSeed !== kept.breed.litterSeed || mate !== kept.breed.mate) restore(kept.breed);
    return;
  }
  if (current?.address === cover) return;
  if (!current && more.line) {  // a link, without its history
    const line = [cover, ...unpack(more.line, cover)];
    line.slice(1).forEach((parent, n) => { if (!parentsOf.has(line[n])) parentsOf.set(line[n], [parent]); });
  }
  mate = null;
  go(cover, Boolean(current), {instead: true});
});

// drawn only when the tab is seen
new ResizeObserver(() => { if (current && element.offsetParent && !$('.litter').childElementCount) refresh(); }).observe(element);
