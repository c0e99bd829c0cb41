// The server loads one snapshot after the other; when all are there they are shown here, so that scrubbing costs nothing.
const $ = selector => element.querySelector(selector);
const picture = $('img'), scrub = $('.snapshot'), play = $('.play'), bar = $('progress'), saves = element.querySelectorAll('.save');
let frames = [], address = '', at = 0, playing = false, working = false, film = 0, halted = 0, last = 0;

function busy(on) {
  working = on;
  keepingFocus(() => {
    for (const [part, seen] of [[bar, on], [$('.stop'), on], [$('.draw'), !on]]) part.hidden = !seen;
    for (const save of saves) save.hidden = on || !frames.length;
  });
}

function draw() {
  busy(true);
  bar.value = 0;
  $('.details').textContent = word('training-loading', {n: 1, of: props.snapshots});
  trigger('draw', {address: place.cover, film: ++film});
}

function stop() {
  if (bar.value) halt(film);  // else it cannot be named yet
  film++;  // whatever still comes of it is not shown
  failed();
}

function halt(number) {
  if (halted === number) return;
  halted = number;
  trigger('stop');
}

function failed() {
  busy(false);
  $('.details').textContent = '';
  if (frames.length) show();
}

function show() {
  const [covers, src] = frames[at], name = nameOf(address);
  const text = word('training-at', {name, n: covers.toLocaleString(document.documentElement.lang)});
  Object.assign(picture, {src, alt: word('cover-of', {name})});
  scrub.value = at;
  scrub.setAttribute('aria-valuetext', text);
  $('.details').textContent = text;
}

function setPlaying(on) {
  playing = on;
  play.classList.toggle('paused', !on);
  play.setAttribute('aria-label', word(on ? 'pause' : 'play'));
}

// Once through, and it stays at the end.
function tick(now) {
  if (playing && !working && element.offsetParent && now - last > 1000 / props.speed) {
    last = now;
    if (at + 1 < frames.length) at++, show();
    else setPlaying(false);
  }
  requestAnimationFrame(tick);
}

document.addEventListener('snapshots', event => {
  const news = event.detail;
  if (news?.refused && working) return say('complain', refusal(news)), failed();
  if (news?.file) {
    busy(false);
    return Object.assign(document.createElement('a'), {href: news.file, download: news.name}).click();
  }
  if (news?.src && news.film !== film && !working) halt(news.film);
  if (!news || news.film !== film) return;
  if (news.src) {
    picture.src = news.src;
    bar.value = news.progress;
    const n = Math.min(Math.round(news.progress * props.snapshots) + 1, props.snapshots);
    $('.details').textContent = word('training-loading', {n, of: props.snapshots});
    return;
  }
  ({frames, address} = news);
  scrub.max = frames.length - 1;
  $('.scrub').hidden = false;
  busy(false);
  at = matchMedia('(prefers-reduced-motion: reduce)').matches ? frames.length - 1 : 0;
  setPlaying(at === 0);
  show();
});
document.addEventListener('failed', () => { if (working) failed(); });

$('.draw').addEventListener('click', draw);
$('.stop').addEventListener('click', stop);
for (const save of saves) save.addEventListener('click', () => { busy(true); trigger('save', {address, kind: save.dataset.kind}); });
play.addEventListener('click', () => {
  if (!playing && at === frames.length - 1) at = 0;
  setPlaying(!playing);
});
scrub.addEventListener('input', () => { setPlaying(false); at = Number(scrub.value); show(); });
$('.aside').textContent = word('training-help', {n: props.snapshots});
busy(false);
requestAnimationFrame(tick);
