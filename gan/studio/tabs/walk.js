// The film is drawn by the server as single frames and shown here, so that scrubbing and speed cost nothing.
const $ = selector => element.querySelector(selector);
const scrub = $('.frame'), play = $('.play');
const screens = [...element.querySelectorAll('.screen')].map(screen => ({screen, canvas: screen.querySelector('canvas'), frames: []}));
let kept = [], at = 0, playing = !matchMedia('(prefers-reduced-motion: reduce)').matches, last = 0, lastFilm = '', waiting = 0, asked = 0;

const good = text => /^\d+$/.test(text.trim()) && Number(text) < 2 ** 32;
let ownLength = false;  // chosen by the visitor; otherwise the film grows with the shelf
let linked = [];  // covers of the film that a link names

const sound = () => good(seeds()[1]) && (good(seeds()[0]) || (!seeds()[0] && place.cover.startsWith('latents')));
const seeds = () => ['#seed-a', '#seed-b'].map(id => $(id).value.trim());

const placeOf = seed => new URLSearchParams(place.cover).get('seed') === seed ? place.cover : unpack(seed, place.cover)[0];

// The covers that the film goes through: those of the shelf, or of a link, or the cover that one looks at and a seed.
function order() {
  const [from, to] = seeds(), start = kept[0]?.address ?? (from ? placeOf(from) : place.cover);
  const shelf = linked.length > 1 ? linked : kept.map(cover => cover.address);
  const addresses = shelf.length > 1 ? shelf : [start, `seed=${to}&truncation=1`];
  const grown = ownLength ? Number($('#frames').value) : Math.min(props.most, Math.max(props.frames, props.a_cover * addresses.length));
  if (!ownLength) $('#frames').value = grown;
  return {addresses, frames: Math.max(grown, addresses.length),
          speed: Number($('#speed').value), compare: $('#compare').checked};
}

// Only while the tab is seen, and a moment after the last change.
function refresh() {
  describe();
  clearTimeout(waiting);
  if (!element.offsetParent || !place.cover || !sound()) return;
  const {addresses, frames, compare} = order(), wanted = JSON.stringify({addresses, frames, compare});
  if (wanted === lastFilm) return;
  waiting = setTimeout(() => draw(wanted), 120);
}

// One film at a time; what was changed meanwhile is drawn after it.
function draw(wanted) {
  if (asked && performance.now() - asked < 20000) return;
  [asked, lastFilm] = [performance.now(), wanted];
  trigger('film', order());
}

function describe() {
  const {frames, speed} = order(), shown = screens[0].frames.length;
  $('#frames').nextElementSibling.textContent = word('n-frames', {n: frames});
  $('#speed').nextElementSibling.textContent = word('n-a-second', {n: speed});
  const several = linked.length > 1 ? 'way-of-link' : kept.length > 1 ? 'way-of-shelf' : '';
  $('.way').textContent = word(several || (kept.length ? 'way-of-one' : 'way-of-seeds'), {n: order().addresses.length});
  $('.ends').hidden = several !== '';
  $('#seed-a').parentElement.hidden = kept.length === 1;
  $('#seed-a').setAttribute('aria-invalid', Boolean(seeds()[0]) && !good(seeds()[0]));
  $('#seed-b').setAttribute('aria-invalid', !good(seeds()[1]));
  $('.details').textContent = shown ? word('film-details', {n: at + 1, of: shown, length: inDigits(shown / speed, 1)}) : '';
}

function paint() {
  for (const {canvas, frames} of screens) {
    const image = frames[at], side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (!image || !side) continue;
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const pen = canvas.getContext('2d');
    pen.imageSmoothingQuality = 'high';
    pen.drawImage(image, 0, 0, side, side);
  }
  scrub.value = at;
  scrub.setAttribute('aria-valuetext', word('frame-n', {n: at + 1}));
}

function tick(now) {
  const count = screens[0].frames.length;
  if (playing && count && element.offsetParent) {
    const steps = Math.floor((now - last) * Number($('#speed').value) / 1000);
    if (steps) {
      at = (at + Math.min(steps, 5)) % count;
      last = now;
      paint();
      describe();
    }
  } else last = now;
  requestAnimationFrame(tick);
}

function setPlaying(on) {
  playing = on;
  play.classList.toggle('paused', !on);
  play.setAttribute('aria-label', word(on ? 'pause' : 'play'));
}

document.addEventListener('reel', async event => {
  const reel = event.detail;
  if (!reel?.file) asked = 0;
  if (reel?.refused || reel?.file) busy(false);
  if (reel?.refused) say('complain', refusal(reel));
  if (reel?.file) {
    const link = Object.assign(document.createElement('a'), {href: reel.file, download: reel.name});
    return link.click();
  }
  if (!reel?.round) return;
  const load = sources => Promise.all(sources.map(async src => { const image = new Image(); image.src = src; await image.decode(); return image; }));
  [screens[0].frames, screens[1].frames] = [await load(reel.round), await load(reel.straight)];
  screens[1].screen.hidden = !reel.straight.length;
  $('.film').classList.toggle('comparing', reel.straight.length > 0);
  scrub.max = reel.round.length - 1;
  at %= reel.round.length;
  paint();
  describe();
  performance.mark('film');
  refresh();
});

// One file for one press.
let saving = false;
function busy(on) {
  saving = on;
  element.querySelectorAll('[data-save]').forEach(button => { dim(button, on); });
  element.querySelector('.saving').textContent = on ? word('looping') : '';
}
document.addEventListener('failed', () => { if (saving) busy(false); });

play.addEventListener('click', () => setPlaying(!playing));
scrub.addEventListener('input', () => { setPlaying(false); at = Number(scrub.value); paint(); describe(); });
$('#frames').addEventListener('input', () => { ownLength = true; });
for (const id of ['#frames', '#speed', '#seed-a', '#seed-b', '#compare']) $(id).addEventListener('input', () => { refresh(); settle(); });
$('#dice-ends').addEventListener('click', () => {
  const [a, b] = crypto.getRandomValues(new Uint32Array(2));
  $('#seed-a').value = a;
  $('#seed-b').value = b;
  refresh();
  settle();
});
element.addEventListener('click', async event => {
  const kind = event.target.closest('[data-save]')?.dataset.save;
  if (kind && !saving) busy(true), trigger('save', {...order(), kind});
  if (!event.target.closest('.keep-frame')) return;
  const answer = await reached(server.frame({...order(), frame: at}));
  if (answer.address) say('keep', {address: answer.address, parents: []});
});

Object.assign($('#frames'), {min: props.fewest, max: props.most, value: props.frames});
$('#speed').value = props.speed;
setPlaying(playing);

// What the film is made of is the place. Its covers are in the address as long as that is one that programs pass on.
function settle() {
  const {addresses, frames, speed, compare} = order(), [from, to] = seeds(), film = kept.length > 1 ? pack(addresses) : '';
  const cover = film || !good(from) || kept.length ? place.cover : placeOf(from);
  move({cover, more: {film: film.length < 6000 ? film : '', to: film ? '' : to, frames: ownLength ? `${frames}` : '', speed: `${speed}`, compare: compare ? 'yes' : ''}}, {by: 'film'});
}

let looked = '';  // the cover that the first box was filled with
listen('place', ({tab, cover, more}) => {
  if (tab !== 'walk' || !cover) return;
  if (cover !== looked) $('#seed-a').value = new URLSearchParams(cover).get('seed') ?? '', looked = cover;
  if (more.to) $('#seed-b').value = more.to;
  if (more.frames) $('#frames').value = more.frames, ownLength = true;
  if (more.speed) $('#speed').value = more.speed;
  $('#compare').checked = more.compare === 'yes';
  const film = more.film ? unpack(more.film, cover) : [];
  linked = film.length > 1 && pack(film) !== pack(kept.map(one => one.address)) && !changedShelf ? film : [];
  refresh();
});
let changedShelf = false;  // since the page was opened: then the film is the shelf's again
listen('shelved', covers => {
  if (kept.length && covers.length !== kept.length) changedShelf = true, linked = [];
  kept = covers;
  if (linked.length && pack(linked) === pack(kept.map(one => one.address))) linked = [];
  refresh();
});
new ResizeObserver(() => { paint(); refresh(); }).observe(screens[0].canvas);
requestAnimationFrame(tick);
