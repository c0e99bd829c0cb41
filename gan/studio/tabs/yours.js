const $ = selector => element.querySelector(selector);
const stand = $('.stand'), input = $('input[type=file]'), drop = $('.drop'), bar = $('progress'), state = $('.state');
let file = null, searching = false, number = 0, sources = [], shelf = [], chosen = '';

// ---- the picture and its search

function take(picked) {
  if (!picked) return;
  if (!['image/png', 'image/jpeg', 'image/webp'].includes(picked.type)) return complain(word('not-a-picture'));
  if (picked.size > props.largest) return complain(word('too-large'));
  if (searching) stop();
  file = picked;
  drop.querySelector('img').src = URL.createObjectURL(picked);
  drop.querySelector('img').alt = word('your-picture');
  search();
}

async function search() {
  const bytes = new Uint8Array(await file.arrayBuffer()), parts = [];
  for (let at = 0; at < bytes.length; at += 32768) parts.push(String.fromCharCode(...bytes.subarray(at, at + 32768)));
  $('.note').textContent = '';
  show(true, 0);
  state.textContent = word('waiting');
  trigger('project', {file: btoa(parts.join('')), search: ++number});
}

function show(on, progress) {
  searching = on;
  bar.value = progress;
  bar.hidden = !on;
  $('.stop').hidden = !on;
  $('.search').hidden = on || !file;
  element.querySelectorAll('[data-send]').forEach(button => { button.hidden = on || !stand.dataset.address; });
}

function stop() {
  number++;  // whatever still comes of the search is not shown
  trigger('stop');
  show(false, 0);
  state.textContent = word(stand.dataset.address ? 'stopped' : 'found-here');
  if (stand.dataset.address) addSource();
}

function failed() {
  show(false, 0);
  state.textContent = word('found-here');
}

document.addEventListener('found', event => {
  const found = event.detail;
  if (found?.refused && searching) return complain(refusal(found)), failed();
  if (!found?.address || found.search !== number) return;
  const picture = $('.found img');
  picture.src = found.src;
  picture.alt = word('cover-of', {name: word('found')});
  stand.dataset.address = found.address;
  const done = found.progress === 1;
  state.textContent = done ? word('found') : word('searching');
  show(!done, done ? 0 : found.progress);
  if (done) addSource();
});
// an error of the server's comes as one of Gradio's own messages, not to this script
new MutationObserver(() => { if (searching && document.querySelector('.toast-body.error')) failed(); })
  .observe(document.body, {childList: true, subtree: true});

input.addEventListener('change', () => take(input.files[0]));
for (const kind of ['dragover', 'dragleave', 'drop']) drop.addEventListener(kind, event => {
  event.preventDefault();
  drop.classList.toggle('over', kind === 'dragover');
  if (kind === 'drop') take(event.dataTransfer.files[0]);
});
$('.stop').addEventListener('click', stop);
$('.search').addEventListener('click', search);

// ---- is it a copy?

const check = asker(() => server.check(chosen), answer => {
  const box = $('.copies'), nearest = answer.nearest[0];
  const text = make('div', {}), table = make('table', {});
  const share = answer.percentile < 1 ? word('fewer-than-1') : String(Math.round(answer.percentile));
  text.append(make('p', {className: 'verdict', textContent: word(answer.copy ? 'a-copy' : 'no-copy')}));
  text.append(make('p', {className: 'aside', textContent: word('copy-share', {share, distance: nearest.distance.toFixed(2)})}));
  const head = make('tr', {});
  head.append(...['copy-cover', 'copy-distance', 'copy-percentile', 'copy-bits'].map(key => make('th', {textContent: word(key), scope: 'col'})));
  const rows = answer.nearest.map(one => {
    const row = make('tr', {}), cells = [0, 1, 2, 3].map(() => make('td', {}));
    cells[0].append(make('code', {textContent: `${one.sha256}…`}));
    cells[1].textContent = one.distance.toFixed(2);
    const bar = make('span', {className: 'bar'}), part = make('i', {});
    part.style.width = `${one.percentile}%`;
    bar.append(part);
    cells[2].append(bar, `${Math.round(one.percentile)} %`);
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

// the cover in the crate can be asked about without being kept
async function look() {
  if (!element.offsetParent) return;
  const crate = document.querySelector('#crate [data-address]')?.dataset.address;
  if (crate && !sources.some(cover => cover.address === crate)) {
    sources = [...sources, ...await drawn([crate])].slice(-12);
    showChoice();
  }
}
listen('shelved', async shelved => { shelf = await drawn(shelved.map(cover => cover.address)); showChoice(); });

$('.index').textContent = props.indexed ? word('index-help', {n: props.indexed.toLocaleString(document.documentElement.lang)}) : word('no-index');
bar.hidden = true;
showChoice();
new ResizeObserver(look).observe(element);
