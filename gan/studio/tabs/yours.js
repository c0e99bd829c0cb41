const $ = selector => element.querySelector(selector);
const stand = $('.stand'), input = $('input[type=file]'), drop = $('.drop'), bar = $('progress'), state = $('.state');
let file = null, searching = false, sources = [], shelf = [], chosen = '';

// ---- the picture and its search

let taken = null;  // the newest file

async function take(picked) {
  if (!picked) return;
  taken = picked;
  const picture = await pictureOf(picked);
  if (taken !== picked) return;
  if (picture.wrong) return wrong(picture.wrong);
  if (searching) stop();
  file = picked;
  drop.querySelector('img').src = URL.createObjectURL(picked);
  drop.querySelector('img').alt = word('your-picture');
  search();
}

// Says what is wrong with a file where it was dropped. What was found for another picture does not stay beside it.
function wrong(sentence) {
  if (searching) stop();
  file = null;
  drop.querySelector('img').removeAttribute('src');
  forget();
  drop.querySelector('.wrong').textContent = sentence;
  show(false, 0);
  state.textContent = word('found-here');
}

function forget() {
  for (const image of element.querySelectorAll('.found img, .painted img')) image.removeAttribute('src');
  delete stand.dataset.address;
  drop.querySelector('.wrong').textContent = '';
}

async function search() {
  const bytes = await inBase64(file);
  forget();
  show(true, 0);
  state.textContent = word('waiting');
  begin(bytes);
}

function show(on, progress) {
  searching = on;
  bar.value = progress;
  bar.hidden = !on;
  keepingFocus(() => {
    $('.stop').hidden = !on;
    $('.search').hidden = on || !file;
    element.querySelectorAll('[data-send], [data-file]').forEach(button => { button.hidden = on || !stand.dataset.address; });
  });
}

function stop() {
  end();
  show(false, 0);
  state.textContent = word(stand.dataset.address ? 'stopped' : 'found-here');
  if (stand.dataset.address) done();
}

function done() {
  addSource();
  if (place.tab === 'yours') move({cover: stand.dataset.address});
}

// The server works on one search at a time, and can be told to stop one only when its first answer has come: before
// that Gradio knows no name of it to send. Until then the next search waits.
let number = 0, running = 0, named = false, ended = false, next = null;

function begin(bytes) {
  if (running) return void (next = bytes);
  [running, named, ended] = [++number, false, false];
  trigger('project', {file: bytes, search: number});
}

function end() {
  next = null;
  if (!running) return;
  ended = true;
  if (named) trigger('stop'), over();
}

function over() {
  running = 0;
  if (next !== null) { const bytes = next; next = null; begin(bytes); }
}

document.addEventListener('found', event => {
  const found = event.detail;
  if (!running || (found?.search && found.search !== running)) return;
  if (found?.refused) {
    const seen = !ended;
    over();
    return seen ? wrong(refusal(found)) : undefined;
  }
  if (!found?.address && !found?.painted) return;
  named = true;
  const finished = found.progress === 1;
  if (ended) return finished || trigger('stop'), over();
  if (found.painted) {
    Object.assign($('.painted img'), {src: found.painted, alt: word('painted')});
    state.textContent = word('searching');
    return;
  }
  if (finished) over();
  const picture = $('.found img');
  picture.src = found.src;
  picture.alt = word('cover-of', {name: word('found')});
  stand.dataset.address = found.address;
  state.textContent = finished ? word('found') : word('searching');
  show(!finished, finished ? 0 : found.progress);
  if (finished) done();
});
document.addEventListener('failed', () => {
  if (!running) return;
  const seen = !ended;
  over();
  if (seen) show(false, 0), state.textContent = word('found-here');
});

input.addEventListener('change', () => { take(input.files[0]); input.value = ''; });
for (const kind of ['dragover', 'dragleave', 'drop']) drop.addEventListener(kind, event => {
  event.preventDefault();
  drop.classList.toggle('over', kind === 'dragover');
  if (kind === 'drop') take(event.dataTransfer.files[0]);
});
document.addEventListener('yours', event => take(event.detail));
$('.stop').addEventListener('click', stop);
$('.search').addEventListener('click', search);

// ---- is it a copy?

const check = asker(() => server.check(chosen), answer => {
  const box = $('.copies'), nearest = answer.nearest[0];
  const text = make('div', {}), table = make('table', {});
  const share = answer.percentile < 1 ? word('fewer-than-1') : String(Math.round(answer.percentile));
  text.append(make('p', {className: 'verdict', textContent: word(answer.copy ? 'a-copy' : 'no-copy')}));
  text.append(make('p', {className: 'aside', textContent: word('copy-share', {share, distance: inDigits(nearest.distance, 2)})}));
  const head = make('tr', {});
  head.append(...['copy-cover', 'copy-distance', 'copy-percentile', 'copy-bits'].map(key => make('th', {textContent: word(key), scope: 'col'})));
  const rows = answer.nearest.map(one => {
    const row = make('tr', {}), cells = [0, 1, 2, 3].map(() => make('td', {}));
    cells[0].append(make('code', {textContent: `${one.sha256}…`}));
    cells[1].textContent = inDigits(one.distance, 2);
    const bar = make('span', {className: 'bar'}), part = make('i', {});
    part.style.width = `${one.percentile}%`;
    bar.append(part);
    cells[2].append(bar, inPercent(one.percentile / 100));
    cells[3].textContent = word('of-64', {n: one.bits});
    row.append(...cells);
    return row;
  });
  table.append(head, ...rows);
  text.append(table);
  box.replaceChildren(make('img', {src: answer.src, alt: word('cover-of', {name: nameOf(chosen)})}), text);
});

function choose(address) {
  chosen = address;
  showChoice();
  check();
}

function showChoice() {
  if (!props.indexed) return;
  const known = [...sources, ...shelf].filter((cover, n, all) => all.findIndex(other => other.address === cover.address) === n);
  covers($('.mates'), known, chosen, choose, word('copy-none'));
}

async function addSource() {
  sources = [...await drawn([stand.dataset.address]), ...sources].slice(0, 12);
  showChoice();
}

// the cover that one is looking at can be asked about without being kept
listen('place', async ({tab, cover}) => {
  if (tab !== 'yours' || !cover || sources.some(known => known.address === cover)) return;
  sources = [...sources, ...await drawn([cover])].slice(-12);
  showChoice();
});
listen('shelved', async shelved => { shelf = await drawn(shelved.map(cover => cover.address)); showChoice(); });

$('.index').textContent = props.indexed ? word('index-help', {n: props.indexed.toLocaleString(document.documentElement.lang)}) : word('no-index');
bar.hidden = true;
$('.painted').hidden = !props.paints;
if (props.paints) $('.bin .aside').textContent = word('yours-help-painter');
showChoice();
