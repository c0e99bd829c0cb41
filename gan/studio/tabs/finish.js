const $ = selector => element.querySelector(selector);
const stand = $('.stand'), artist = $('.artist'), title = $('.title');
let address = '', layout = 'poster', sources = [], shelf = [], saving = false;

// Text goes to the server and into a picture, never into the page as HTML.
const looks = {font: $('.font'), ink: $('.ink'), position: $('.position')}, own = $('.own');
const look = () => ({font: looks.font.value, ink: looks.ink.value === 'own' ? own.value : looks.ink.value, position: looks.position.value});
const order = () => ({address, layout, artist: artist.value, title: title.value, ...look()});

const choices = (box, values, called) => box.append(...['any', ...values].map(value => new Option(called(value), value === 'any' ? '' : value)));
choices(looks.font, props.fonts, value => word(`font-${value}`));
choices(looks.ink, [...props.inks, 'own'], value => word(`ink-${value}`));
choices(looks.position, props.positions, value => word(`position-${value}`));
// What a link says of them, as far as there is such a choice.
function lookOf({font = '', ink = '', position = ''}) {
  const one = (value, known) => known.includes(value) ? value : '';
  return {font: one(font, props.fonts), ink: /^#[0-9a-f]{6}$/.test(ink) ? ink : one(ink, props.inks), position: one(position, props.positions)};
}
function showLook({font, ink, position}) {
  [looks.font.value, looks.position.value] = [font, position];
  looks.ink.value = ink.startsWith('#') ? 'own' : ink;
  own.hidden = looks.ink.value !== 'own';
  if (!own.hidden) own.value = ink;
}

// A preview is quick until the enlarged picture of its cover is there, which is made meanwhile: what is typed never waits
// for it, nor for the layouts' cards, which come after it.
let enlarged = '';  // the cover of which it is
const preview = asker(
  () => {
    const quick = enlarged !== address;
    $('.finish').classList.toggle('stale', quick && stand.dataset.shown !== address);
    return server.preview({...order(), quick});
  },
  answer => {
    $('.finish').classList.remove('stale');
    stand.dataset.shown = answer.address;
    if (enlarged !== address && answer.address === address) enlarge();
    $('.note').textContent = '';
    stand.querySelector('img').src = answer.src;
    const name = nameOf(answer.address);
    stand.querySelector('img').alt = word('finished-cover', {name});
    $('.details').textContent = answer.contrast === null ? name : `${name}. ${word('contrast-n', {n: inDigits(answer.contrast, 1)})}`;
    cards();
  },
  sentence => {
    $('.note').textContent = sentence;
    $('.finish').classList.add('stale');  // what is shown is not what the boxes say
  });
const cards = asker(() => server.cards({...order(), quick: enlarged !== address, instead: [word('artist'), word('title')]}), answer => showLayouts(answer.cards));
const enlarge = asker(
  () => server.preview({...order(), artist: '', title: ''}),
  answer => { if (answer.address === address && enlarged !== address) enlarged = address, preview(); });

// The layouts stand there with the page; their pictures come with the first preview.
function showLayouts(cards) {
  const row = $('.layouts');
  if (row.childElementCount !== cards.length) row.replaceChildren(...cards.map(([name]) => {
    const label = make('label', {title: word(`layout-${name}`)}), input = make('input', {type: 'radio', name: 'layout', value: name});
    input.addEventListener('change', () => { layout = name; preview(); settle({by: 'layout'}); });
    label.append(input, make('img', {alt: ''}), make('span', {textContent: word(`layout-${name}`)}));
    return label;
  }));
  cards.forEach(([name, src], n) => {
    if (src) row.children[n].querySelector('img').src = src;
    row.children[n].querySelector('input').checked = name === layout;
  });
}

function showWhich() {
  const known = [...sources, ...shelf.filter(cover => !sources.some(other => other.address === cover.address))];
  covers($('.which'), known, address, chosen => { address = chosen; showWhich(); preview(); settle(); }, word('finish-none'));
}

// the cover that one is looking at is among those to choose from, beside those of the shelf
listen('place', async ({tab, cover, more}) => {
  if (tab !== 'finish' || !cover) return;
  const news = [cover, props.layouts.includes(more.layout) ? more.layout : 'poster', more.artist ?? '', more.title ?? ''];
  const {font, ink, position} = lookOf(more), looked = look();
  if (JSON.stringify([...news, font, ink, position]) === JSON.stringify([address, layout, artist.value, title.value, looked.font, looked.ink, looked.position])) return;
  [address, layout, artist.value, title.value] = news;
  showLook({font, ink, position});
  preview();
  if (!sources.some(source => source.address === cover)) sources = await drawn([cover]);
  showWhich();
});
const settle = how => move({cover: address, more: {layout, artist: artist.value, title: title.value, ...look()}}, how);
listen('shelved', async shelved => {
  shelf = await drawn(shelved.map(cover => cover.address));
  showWhich();
});

for (const box of [...Object.values(looks), own]) box.addEventListener('input', () => {
  own.hidden = looks.ink.value !== 'own';
  preview();
  settle({by: 'look'});
});
for (const box of [artist, title]) box.addEventListener('input', () => { preview(); settle({by: 'text'}); });

element.addEventListener('click', event => {
  const button = event.target.closest('[data-save]');
  if (!button || saving) return;
  busy(true, button);
  trigger('save', {...order(), kind: button.dataset.save});
});
function busy(on, button) {
  saving = on;
  element.querySelectorAll('[data-save]').forEach(other => { dim(other, on); });
  if (on) $('.details').textContent = word(['mp4', 'webp'].includes(button.dataset.save) ? 'looping' : 'printing');
}
document.addEventListener('press', event => {
  if (!event.detail) return;
  busy(false);
  if (event.detail.refused) return complain(refusal(event.detail)), preview();
  make('a', {href: event.detail.file, download: event.detail.name}).click();
  $('.details').textContent = word('printed', {name: event.detail.name, n: inDigits(event.detail.megabytes, 1)});
});
document.addEventListener('failed', () => {
  if (!saving) return;
  busy(false);
  $('.details').textContent = '';
  preview();
});

showLayouts(props.layouts.map(name => [name, '']));
showWhich();
