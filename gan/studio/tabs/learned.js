// The film of the run that made this generator, by hand, and under it how well it did by then.
const $ = selector => element.querySelector(selector);
const picture = $('img'), scrub = $('.moment'), play = $('.play'), chart = $('.scores');
const scores = props.scores, last = scores.at(-1)[0] || 1;
let frames = [], at = 0, playing = false, shown = 0;

// Frames are as far apart as the sheets of the run; the last one is the generator that is shown.
const soFar = () => Math.round(last * at / Math.max(1, frames.length - 1));
const score = images => scores.findLast(([when]) => when <= images) ?? scores[0];

function draw() {
  const low = Math.min(...scores.map(([, value]) => value)), high = Math.max(...scores.map(([, value]) => value));
  const place = ([images, value]) => `${400 * images / last} ${89 - 88 * (value - low) / (high - low || 1)}`;
  $('.high').textContent = inDigits(high, 2);
  $('.low').textContent = inDigits(low, 2);
  $('.last').textContent = word('n-covers', {n: inDigits(last)});
  const x = 400 * soFar() / last;
  chart.innerHTML = `<path d="M${scores.map(place).join('L')}"/><path class="now" d="M${x} 0V90"/>`;
}

function show() {
  const [, value] = score(soFar());
  const n = inDigits(soFar()), said = word('learned-at', {n, score: word(`score-${props.score}`), value: inDigits(value, 2)});
  Object.assign(picture, {src: frames[at], alt: word('learned-covers', {n})});
  scrub.value = at;
  scrub.setAttribute('aria-valuetext', said);
  $('.details').textContent = said;
  draw();
}

function setPlaying(on) {
  playing = on;
  play.classList.toggle('paused', !on);
  play.setAttribute('aria-label', word(on ? 'pause' : 'play'));
}

function tick(now) {
  if (playing && element.offsetParent && now - shown > 120) {
    shown = now;
    at + 1 < frames.length ? (at++, show()) : setPlaying(false);
  }
  if (frames.length) requestAnimationFrame(tick);
}

$('.draw').addEventListener('click', async event => {
  dim(event.currentTarget);
  const answer = await reached(server.show(''));
  dim($('.draw'), false);
  if (!answer.frames?.length) return;
  frames = answer.frames;
  scrub.max = frames.length - 1;
  $('.film').hidden = false;
  $('.draw').parentElement.hidden = true;
  at = matchMedia('(prefers-reduced-motion: reduce)').matches ? frames.length - 1 : 0;
  setPlaying(at === 0);
  show();
  requestAnimationFrame(tick);
  scrub.focus({preventScroll: true});
});
play.addEventListener('click', () => {
  if (!playing && at === frames.length - 1) at = 0;
  setPlaying(!playing);
});
scrub.addEventListener('input', () => { setPlaying(false); at = Number(scrub.value); show(); });
