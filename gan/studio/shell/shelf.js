// Covers are kept, named, moved and taken away here in the browser; the server only draws them. Each change begins with
// what the browser remembers now, so that two tabs of it add to one shelf instead of overwriting each other.
const KEY = 'album-covers.shelf';
const list = element.querySelector('.kept'), status = element.querySelector('[role=status]');
const pictures = new Map();  // query to data address, or null where this generator cannot draw it
let asking = false, unsaved = null;  // the shelf itself where the browser remembers nothing
let shelved = remembered();

function remembered() {
  if (unsaved) return unsaved;
  try {
    return sound(JSON.parse(localStorage.getItem(KEY) ?? '[]'));
  } catch {
    return [];
  }
}

// What of a list are covers, each once: it may come from a file or a link.
function sound(covers) {
  const found = new Map();
  for (const {address, parents, name} of Array.isArray(covers) ? covers.filter(Boolean) : []) {
    if (typeof address !== 'string' || address.length > 16384 || found.has(address)) continue;
    const known = (Array.isArray(parents) ? parents : []).filter(parent => typeof parent === 'string').slice(0, 2);
    found.set(address, {address, parents: known, ...(typeof name === 'string' && name ? {name: name.slice(0, 80)} : {})});
  }
  return [...found.values()].slice(0, props.most);
}

function change(act) {
  shelved = sound(act(remembered()) ?? shelved);
  try {
    localStorage.setItem(KEY, JSON.stringify(shelved));
  } catch {
    unsaved = shelved;
  }
  tell();
}

function tell() {
  show();
  say('shelved', shelved);
}

addEventListener('storage', event => { if (event.key === KEY) shelved = remembered(), tell(); });

// ---- what is seen

const titled = cover => cover.name || nameOf(cover.address);
const tool = (name, label, text, act) => {
  const made = make('button', {type: 'button', className: name, textContent: text, title: label, onclick: act});
  made.setAttribute('aria-label', label);
  return made;
};

function card(cover, place) {
  const name = titled(cover), item = make('li', {draggable: true});
  item.dataset.address = cover.address;
  item.dataset.parents = cover.parents.join(' ');
  const open = tool('open', word('open-cover', {name}), '', null);
  open.dataset.send = 'open';
  const picture = make('img', {alt: word('cover-of', {name}), draggable: false});
  if (pictures.get(cover.address)) picture.src = pictures.get(cover.address);
  if (pictures.get(cover.address) === null) item.classList.add('foreign'), open.title = word('foreign');
  open.append(picture);
  const link = make('a', {href: linkTo(cover.address), target: '_top', textContent: '↗', title: word('link-to', {name})});
  link.setAttribute('aria-label', word('link-to', {name}));
  const tools = make('span', {className: 'tools'});
  tools.append(
    tool('back', word('move-back', {name}), '‹', () => step(cover.address, -1)),
    tool('on', word('move-on', {name}), '›', () => step(cover.address, 1)),
    tool('rename', word('rename', {name}), '✎', () => rename(item, cover)),
    link,
    tool('remove', word('remove', {name}), '×', () => remove(cover, place)),
  );
  item.append(open, tools);
  if (cover.name) item.insertBefore(make('span', {className: 'name', textContent: cover.name}), tools);
  item.addEventListener('dragstart', event => event.dataTransfer.setData('text/x-cover', cover.address));
  item.addEventListener('dragover', event => event.dataTransfer.types.includes('text/x-cover') && event.preventDefault());
  item.addEventListener('drop', event => {
    if (!event.dataTransfer.types.includes('text/x-cover')) return;
    event.preventDefault();
    put(event.dataTransfer.getData('text/x-cover'), place);
  });
  return item;
}

// Nothing is drawn anew between a finger's coming and its going: what it came to would be gone, and its click lost.
let pressed = false, late = false;
list.addEventListener('pointerdown', () => { pressed = true; });
for (const end of ['pointerup', 'pointercancel']) addEventListener(end, () => {
  pressed = false;
  if (late) setTimeout(show);  // after the click
});

function show() {
  late = pressed;
  if (pressed || list.querySelector('input')) return;  // or a name is being written
  const focused = [...list.children].findIndex(item => item.contains(document.activeElement));
  const kind = document.activeElement?.tagName === 'BUTTON' ? document.activeElement.className : '';
  element.querySelector('.hint').hidden = shelved.length > 0;
  for (const way of element.querySelectorAll('.full')) way.hidden = !shelved.length;
  list.replaceChildren(...shelved.map(card));
  if (focused >= 0 && !shelved.length) element.querySelector('.import').focus({preventScroll: true});
  else if (focused >= 0) list.children[Math.min(focused, shelved.length - 1)]?.querySelector(`.${kind || 'open'}`)?.focus({preventScroll: true});
  mark();
  draw();
}

async function draw() {
  const missing = shelved.map(cover => cover.address).filter(address => !pictures.has(address));
  if (asking || !missing.length) return;
  asking = true;
  let answer;
  try {
    answer = await arrived(server.portraits(missing));
  } catch {
    await aWhile();
  }
  asking = false;
  if (!answer) return draw();
  missing.forEach((address, n) => pictures.set(address, answer.pictures?.[n] ?? null));
  show();
}

// A cover that is kept says so on its button, wherever that is.
function mark() {
  for (const button of document.querySelectorAll('[data-send=keep]')) {
    const address = button.closest('[data-address]')?.dataset.address, is = shelved.some(cover => cover.address === address);
    const small = button.classList.contains('keep-child');
    if ((button.dataset.kept === 'yes') === is) continue;
    button.dataset.kept = is ? 'yes' : 'no';
    button.textContent = small ? (is ? '✓' : '+') : word(is ? 'kept' : 'keep');
  }
}
listen('sleeved', mark);

// ---- what can be done

document.addEventListener('keep', event => {
  const cover = event.detail, name = titled(cover);
  if (remembered().length >= props.most) return complain(word('shelf-full'));
  status.textContent = word('kept-one', {name});
  if (remembered().some(one => one.address === cover.address)) return;
  change(covers => [...covers, cover]);
  list.scrollTo({left: list.scrollWidth});  // along the shelf only: the page stays where it is
});

function step(address, by) {
  put(address, shelved.findIndex(cover => cover.address === address) + by);
  const item = [...list.children].find(one => one.dataset.address === address);
  item?.querySelector(by < 0 ? '.back' : '.on').focus({preventScroll: true});
}

function put(address, place) {
  change(covers => {
    const from = covers.findIndex(cover => cover.address === address);
    if (from < 0 || place < 0 || place >= covers.length) return covers;
    covers.splice(place, 0, ...covers.splice(from, 1));
    return covers;
  });
}

function remove(cover, place) {
  change(covers => covers.filter(one => one.address !== cover.address));
  const back = () => change(covers => [...covers.slice(0, place), cover, ...covers.slice(place)]);
  say('tell', {text: word('taken-away', {name: titled(cover)}), does: word('put-back'), act: back});
}

function rename(item, cover) {
  const box = make('input', {type: 'text', maxLength: 80, value: cover.name ?? '', placeholder: nameOf(cover.address)});
  box.setAttribute('aria-label', word('rename', {name: titled(cover)}));
  let left = false;
  const done = taken => {
    if (left) return;
    left = true;
    box.remove();
    change(covers => covers.map(one => one.address === cover.address && taken ? {...one, name: box.value.trim()} : one));
  };
  box.addEventListener('keydown', event => {
    if (event.key !== 'Enter' && event.key !== 'Escape') return;
    event.preventDefault();  // otherwise Enter presses the button that gets the focus
    done(event.key === 'Enter');
    [...list.children].find(one => one.dataset.address === cover.address)?.querySelector('.rename').focus({preventScroll: true});
  });
  box.addEventListener('blur', () => done(true));
  item.querySelector('.tools').replaceWith(box);
  item.draggable = false;
  box.focus({preventScroll: true});
}

// ---- as a file, and as one link

function add(covers) {
  const before = remembered().length;
  change(known => [...known, ...sound(covers)]);
  say('tell', word('added', {n: shelved.length - before}));
}

element.querySelector('.export').addEventListener('click', () => {
  const file = new Blob([JSON.stringify({covers: shelved}, null, 1)], {type: 'application/json'});
  const link = make('a', {href: URL.createObjectURL(file), download: `album-cover-shelf-${shelved.length}.json`});
  link.click();
  URL.revokeObjectURL(link.href);
});
element.querySelector('.import').addEventListener('change', async event => {
  const [file] = event.target.files;
  event.target.value = '';
  try {
    const {covers} = JSON.parse(await file.text());
    if (!sound(covers).length) throw new Error('no covers');
    add(covers);
  } catch {
    complain(word('no-shelf'));
  }
});
element.querySelector('.as-link').addEventListener('click', async () => {
  const link = `${location.origin}${location.pathname}?${shelved[0].address}&shelf=${encodeURIComponent(pack(shelved.map(cover => cover.address)))}`;
  try {
    await navigator.clipboard.writeText(link);
    say('tell', word('link-copied'));
  } catch {
    prompt(word('link'), link);
  }
});
let offered = false;
listen('place', ({cover, more}) => {
  if (offered || !more.shelf || !cover) return;
  offered = true;
  const covers = unpack(more.shelf, cover).map(address => ({address, parents: []}));
  window.move({more: {shelf: ''}}, {instead: true});
  say('tell', {text: word('offer-shelf', {n: covers.length}), does: word('add'), act: () => add(covers), stays: true});
});

// What an earlier version of the page remembered comes once, through Gradio.
watch('value', () => {
  if (!props.value?.length || localStorage.getItem(`${KEY}.moved`)) return;
  localStorage.setItem(`${KEY}.moved`, 'yes');
  change(covers => [...covers, ...props.value]);
});
tell();
