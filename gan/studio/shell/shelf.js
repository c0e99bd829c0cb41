// Covers are kept, moved and taken away here in the browser; the server draws them and hands the list to the memory.
const list = element.querySelector('.kept');
const pictures = new Map();  // query to data address, or null where this generator cannot draw it
let shelved = props.value ?? [];
let asking = false;

const button = (name, label, text, act) => {
  const made = document.createElement('button');
  Object.assign(made, {type: 'button', className: name, textContent: text, title: label, onclick: act});
  made.setAttribute('aria-label', label);
  return made;
};

function card(cover, place) {
  const name = nameOf(cover.address), item = document.createElement('li');
  item.dataset.address = cover.address;
  item.dataset.parents = cover.parents.join(' ');
  item.draggable = true;
  const open = button('open', word('open-cover', {name}), '', null);
  open.dataset.send = 'open';
  const picture = document.createElement('img');
  picture.alt = word('cover-of', {name});
  picture.draggable = false;
  if (pictures.get(cover.address)) picture.src = pictures.get(cover.address);
  if (pictures.get(cover.address) === null) item.classList.add('foreign'), open.title = word('foreign');
  open.append(picture);
  const link = document.createElement('a');
  Object.assign(link, {href: linkTo(cover.address), target: '_top', textContent: '↗', title: word('link-to', {name})});
  link.setAttribute('aria-label', word('link-to', {name}));
  const tools = document.createElement('span');
  tools.className = 'tools';
  tools.append(
    button('back', word('move-back', {name}), '‹', () => move(place, place - 1)),
    button('on', word('move-on', {name}), '›', () => move(place, place + 1)),
    link,
    button('remove', word('remove', {name}), '×', () => { shelved.splice(place, 1); changed(); }),
  );
  item.append(open, tools);
  item.addEventListener('dragstart', event => event.dataTransfer.setData('text/x-place', place));
  item.addEventListener('dragover', event => event.dataTransfer.types.includes('text/x-place') && event.preventDefault());
  item.addEventListener('drop', event => {
    if (!event.dataTransfer.types.includes('text/x-place')) return;
    event.preventDefault();
    move(Number(event.dataTransfer.getData('text/x-place')), place);
  });
  return item;
}

function show() {
  const focused = [...list.children].findIndex(item => item.contains(document.activeElement));
  const kind = document.activeElement?.className;
  element.querySelector('.hint').hidden = shelved.length > 0;
  list.replaceChildren(...shelved.map(card));
  if (focused >= 0) list.children[Math.min(focused, shelved.length - 1)]?.querySelector(`.${kind}, .open`)?.focus();
  draw();
}

async function draw() {
  const missing = shelved.map(cover => cover.address).filter(address => !pictures.has(address));
  if (asking || !missing.length) return;
  asking = true;
  const answer = await server.portraits(missing);
  asking = false;
  missing.forEach((address, n) => pictures.set(address, answer.pictures?.[n] ?? null));
  show();
}

function changed() {
  show();
  props.value = [...shelved];
  trigger('arrange');
  document.dispatchEvent(new CustomEvent('shelved', {detail: shelved}));
}

function move(from, to) {
  if (to < 0 || to >= shelved.length) return;
  shelved.splice(to, 0, ...shelved.splice(from, 1));
  list.children[to]?.querySelector(to < from ? '.back' : '.on')?.focus();
  changed();
}

document.addEventListener('keep', event => {
  if (shelved.some(cover => cover.address === event.detail.address)) return;
  if (shelved.length >= props.most) return document.dispatchEvent(new CustomEvent('complain', {detail: word('shelf-full')}));
  shelved = [...shelved, event.detail];
  changed();
  list.lastElementChild.scrollIntoView({block: 'nearest', inline: 'nearest'});
});
watch('value', () => {
  shelved = props.value ?? [];
  show();
  document.dispatchEvent(new CustomEvent('shelved', {detail: shelved}));
});
show();
