// The page of runs: how they go, curves with the sheets under the cursor, films, recipes. It asks again while they train.
import {Chart, make} from './charts.js';

const PERIOD = 4000;  // ms between two questions
const AT_FIRST = 6;  // runs that are shown before anybody chooses: the newest
const SPEED = 150;  // ms a sheet when they are played
const COLOURS = {
  light: ['#c2410c', '#1d4ed8', '#15803d', '#7e22ce', '#a16207', '#0e7490', '#be185d', '#44403c'],
  dark: ['#fb923c', '#93c5fd', '#86efac', '#d8b4fe', '#fde047', '#67e8f9', '#f9a8d4', '#d6d3d1'],
};
const LOWER = ['kernel_eyes', 'fd_eyes', 'fd_covers', 'kid', 'fid', 'sliced_wasserstein', 'lattice_db'];
const HIGHER = ['precision_covers', 'recall_covers', 'precision_eyes', 'recall_eyes'];
const AS_REAL = ['pairwise_distance', 'colour_spread'];
const QUALITY = [...LOWER, ...HIGHER, ...AS_REAL, 'held_out_gap'];
const FIRST = [...QUALITY, 'loss_g', 'loss_d', 'pair_accuracy', 'gradient_norm_g', 'gradient_norm_d'];
const NOT_CURVES = ['images', 'seconds', 'evaluation', 'count', 'held_out', 'patch_covers', 'feature_covers',
  'eye_covers'];

const $ = selector => document.querySelector(selector);
const runs = new Map();  // by name, what the server told
const charts = new Map();  // by measure
const shown = new Map();  // by name, whether somebody ticked or unticked a run
const dark = matchMedia('(prefers-color-scheme: dark)');
let words = {}, language = 'en', ends = [0, 1], cursor = 1, follows = true, playing = null, asking = false;

const word = (key, values = {}) => (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
const count = number => Math.round(number).toLocaleString(language);
const number = value => {
  const size = Math.abs(value);
  if (size && (size < 0.0005 || size >= 1e7)) return value.toExponential(1);
  return value.toLocaleString(language, {maximumSignificantDigits: size >= 1000 ? Math.ceil(Math.log10(size)) : 3});
};
const time = seconds => {
  const minutes = Math.round(seconds / 60), hours = Math.floor(minutes / 60);
  if (minutes < 1) return word('seconds');
  if (hours < 1) return word('minutes', {n: minutes});
  return hours < 48 ? word('hours', {n: hours, m: minutes % 60}) : word('days', {n: Math.floor(hours / 24), m: hours % 24});
};
const colour = run => COLOURS[dark.matches ? 'dark' : 'light'][run.place % COLOURS.light.length];
const short = name => name.length > 60 ? `${name.slice(0, 59)}…` : name;
const isShown = run => shown.get(run.name) ?? run.newest;
const isDone = run => run.total && run.images >= run.total;
const chosen = () => [...runs.values()].filter(isShown);
const address = (path, values) => `${path}?${new URLSearchParams(values)}`;
const say = {number, count, covers: images => word('covers', {n: count(images)}), get real() { return word('real'); }};

// ---- what the server tells

async function get(path, values = {}) {
  const answer = await fetch(address(path, values));
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function ask() {
  if (asking) return;
  asking = true;
  try {
    const listed = await get('runs');
    const news = listed.filter(({name, stamp}) => runs.get(name)?.stamp !== stamp);
    await Promise.all(news.map(({name}) => learn(name).catch(console.warn)));  // one may have gone meanwhile
    const newest = [...listed].sort((a, b) => (a.age ?? Infinity) - (b.age ?? Infinity)).slice(0, AT_FIRST);
    const told = new Map(runs);
    runs.clear();
    for (const {name, age} of listed.filter(one => told.has(one.name))) {
      const run = Object.assign(told.get(name), {age, place: runs.size, newest: newest.some(one => one.name === name)});
      runs.set(name, run);
    }
    $('[role=status]').textContent = listed.length ? '' : word('no-run');
    if (news.length || listed.length !== charts.runs) show();
    else showCards();
    charts.runs = listed.length;
  } catch (error) {
    console.warn(error);
    $('[role=status]').textContent = word('no-answer');
  }
  asking = false;
}

async function learn(name) {
  const before = runs.get(name) ?? {lines: []};
  const told = await get('run', {run: name, generation: before.generation ?? 0, count: before.count ?? 0});
  const lines = told.first ? before.lines.concat(told.lines) : told.lines;
  runs.set(name, Object.assign(before, told, {name, lines, curves: curves(lines)}));
}

// [covers shown, value] by measure. A run that goes on may come past the same covers again; then they are in order all the same.
function curves(lines) {
  const found = new Map();
  for (const line of lines) {
    for (const [name, value] of Object.entries(line)) {
      if (NOT_CURVES.includes(name)) continue;
      if (!found.has(name)) found.set(name, []);
      found.get(name).push([line.images, value]);
    }
  }
  for (const points of found.values()) points.sort((a, b) => a[0] - b[0]);
  return found;
}

// ---- what is seen

function show() {
  const all = chosen();
  const starts = all.filter(run => run.lines.length).map(run => run.lines[0].images);
  const least = Math.min(...starts, ...all.flatMap(run => run.sheets.slice(0, 1).map(sheet => sheet[0])));
  const most = Math.max(1, ...all.map(run => run.images), ...all.flatMap(run => run.sheets.slice(-1).map(sheet => sheet[0])));
  ends = [Number.isFinite(least) && least > 0.05 * most ? least : 0, most];
  if (follows) cursor = most;
  cursor = Math.min(most, Math.max(ends[0], cursor));
  Object.assign($('.place input'), {min: ends[0], max: most});
  $('h1').textContent = runs.size === 1 ? [...runs.keys()][0] : word('n-runs', {n: runs.size});
  document.title = `${$('h1').textContent} – Album Cover GAN`;
  showCards();
  showCharts(all);
  showFilms(all);
  showRecipe(all);
  look(cursor);
  performance.mark('runs-shown');
  document.body.dataset.shown = all.length;
}

function showCards() {
  const place = $('#cards');
  for (const card of [...place.children]) if (!runs.has(card.dataset.run)) card.remove();
  for (const run of runs.values()) {
    let card = [...place.children].find(one => one.dataset.run === run.name);
    if (!card) {
      card = newCard(run);
      place.append(card);
    }
    card.style.setProperty('--run', colour(run));
    card.classList.toggle('unseen', !isShown(run));
    card.querySelector('input').checked = isShown(run);
    card.querySelector('label').hidden = runs.size === 1;  // the headline names it
    const done = isDone(run), quiet = run.age !== null && run.age > run.quiet;
    const state = done ? word('done') : run.age === null ? word('not-begun')
      : quiet ? word('quiet', {time: time(run.age)}) : word('training');
    card.querySelector('small').textContent = state;
    Object.assign(card.querySelector('progress'), {max: run.total ?? 1, value: Math.min(run.images, run.total ?? 1), hidden: !run.total});
    const facts = [run.total ? word('covers-of', {n: count(run.images), total: count(run.total)}) : word('covers', {n: count(run.images)})];
    if (run.seconds) facts.push(word('in-time', {time: time(run.seconds)}));
    if (run.speed) facts.push(word('speed', {n: number(run.speed)}));
    if (!done && !quiet && run.left !== null) facts.push(word('left', {time: time(run.left)}));
    card.querySelector('p').textContent = facts.join(', ');
    const said = JSON.stringify([run.warnings, run.problems]);
    if (card.dataset.said === said) continue;
    card.dataset.said = said;
    card.querySelector('.problems').replaceChildren(...run.problems.map(line => make('li', {textContent: line})));
    card.querySelector('.warnings').replaceChildren(...run.warnings.map(([images, sentence]) => {
      const go = make('button', {type: 'button', textContent: word('after', {n: count(images)}), onclick: () => move(images)});
      return make('li', {}, go, ` ${translated(sentence)}`);
    }));
  }
}

function newCard(run) {
  const tick = make('input', {type: 'checkbox', onchange: event => { shown.set(run.name, event.target.checked); show(); }});
  tick.setAttribute('aria-label', word('shown', {name: run.name}));
  const bar = make('progress');
  bar.setAttribute('aria-label', word('progress', {name: run.name}));
  const warnings = make('ul', {className: 'warnings'});
  warnings.setAttribute('aria-label', word('warnings', {name: run.name}));
  const label = make('label', {}, tick, make('span', {className: 'swatch'}), make('span', {textContent: run.name, title: run.name}));
  const card = make('article', {className: 'card'}, make('h2', {}, label, make('small')), bar, make('p'), warnings,
    make('ul', {className: 'problems'}));
  card.dataset.run = run.name;
  return card;
}

function translated(sentence) {
  const [n] = /^\d+/.exec(sentence) ?? [''], key = `warning: ${n ? sentence.replace(n, '{n}') : sentence}`;
  return key in words ? word(key, {n}) : sentence;
}

// Measures of covers first, then losses, then the rest; real_... is the dashed line in the chart of what it is the measure of.
function showCharts(all) {
  const names = new Set(all.flatMap(run => [...run.curves.keys()]));
  const wanted = [...names].filter(name => !(name.startsWith('real_') && names.has(name.slice(5))));
  const place = name => FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length;
  wanted.sort((a, b) => place(a) - place(b) || a.localeCompare(b));
  const measured = new Set(all.flatMap(run => run.lines.filter(line => line.evaluation).flatMap(Object.keys)));
  const group = name => QUALITY.includes(name) || measured.has(name) ? 'quality' : name.startsWith('loss') ? 'losses' : 'rest';
  for (const [name, chart] of charts) if (!names.has(name)) { chart.element.remove(); charts.delete(name); }
  for (const name of wanted) {
    if (!charts.has(name)) charts.set(name, new Chart(name, words[`m-${name}`] ?? name, aside(name), say, move));
    const drawn = all.flatMap(run => ['', 'real_'].map(real => ({
      run: run.name, colour: colour(run), points: run.curves.get(real + name) ?? [], real: real !== '',
    }))).filter(curve => curve.points.length);
    charts.get(name).show(drawn, ends);
  }
  for (const key of ['quality', 'losses', 'rest']) {
    const inside = wanted.filter(name => group(name) === key).map(name => charts.get(name).element);
    const box = $(`#${key} .group`);
    $(`#${key}`).hidden = !inside.length;
    // only what is not yet in its place is moved: what has the keyboard keeps it
    inside.forEach((one, n) => { if (box.children[n] !== one) box.insertBefore(one, box.children[n] ?? null); });
  }
  $('#charts > p').hidden = wanted.length > 0;
}

function aside(name) {
  const kind = LOWER.includes(name) ? 'lower' : HIGHER.includes(name) ? 'higher' : AS_REAL.includes(name) ? 'as-real' : '';
  return kind && word(kind);
}

// ---- the cursor

function move(images) {
  follows = images >= ends[1];
  stop();
  look(images);
}

function look(images) {
  cursor = Math.round(images);
  const slider = $('.place input');
  slider.value = cursor;
  slider.setAttribute('aria-valuetext', word('covers', {n: count(cursor)}));
  $('output').textContent = count(cursor);
  for (const chart of charts.values()) chart.look(cursor);
  showSheets();
}

function showSheets() {
  const box = $('.sheets'), all = chosen().filter(run => run.sheets.length);
  $('.play').hidden = !all.length;
  if (!all.length) return box.replaceChildren(make('p', {className: 'aside', textContent: word(chosen().every(isDone) ? 'sheetless' : 'no-sheets')}));
  box.style.setProperty('--columns', Math.min(all.length, all.length === 4 ? 2 : 3));
  for (const figure of [...box.children]) if (!all.some(run => run.name === figure.dataset.run)) figure.remove();
  for (const run of all) {
    let figure = [...box.children].find(one => one.dataset.run === run.name);
    if (!figure) {
      const link = make('a', {target: '_blank', rel: 'noopener'}, make('img', {decoding: 'async'}));
      figure = make('figure', {}, link, make('figcaption', {}, make('span', {className: 'swatch'}), make('span')));
      figure.dataset.run = run.name;
      box.append(figure);
    }
    figure.style.setProperty('--run', colour(run));
    const [images] = run.sheets.findLast(sheet => sheet[0] <= cursor) ?? run.sheets[0];
    const src = sheet(run, images);
    if (figure.dataset.src === src) continue;
    figure.dataset.src = src;
    const values = {name: run.name, n: count(images)};
    figure.querySelector('a').href = src;
    Object.assign(figure.querySelector('img'), {src, alt: word('sheet', values)});
    figure.querySelector('figcaption').lastChild.textContent =
      ` ${runs.size > 1 ? `${run.name}, ` : ''}${word('sheet-after', values)}`;
  }
}

function sheet(run, images) {
  return address('sheet', {run: run.name, images, of: run.sheets.find(one => one[0] === images)[1]});
}

// One sheet after the other, of all runs that have one then; each waits for its pictures.
async function play() {
  const places = [...new Set(chosen().flatMap(run => run.sheets.map(one => one[0])))].sort((a, b) => a - b);
  const mine = playing = Symbol('playing');
  $('.play').textContent = word('stop');
  let first = places.findIndex(images => images >= cursor);
  if (first < 0 || first === places.length - 1) first = 0;
  for (const images of places.slice(first)) {
    const awaited = chosen().filter(run => run.sheets.some(one => one[0] === images)).map(run => {
      const picture = new Image();
      picture.src = sheet(run, images);
      return picture.decode().catch(() => {});
    });
    await Promise.all([...awaited, new Promise(done => setTimeout(done, SPEED))]);
    if (playing !== mine) return;
    follows = false;
    look(images);
  }
  stop();
}

function stop() {
  playing = null;
  $('.play').textContent = word('play');
}

// ---- films and recipes

function showFilms(all) {
  const box = $('#films div'), films = all.filter(run => run.film);
  $('#films').hidden = !films.length;
  for (const holder of [...box.children]) if (!films.some(run => run.name === holder.dataset.run)) holder.remove();
  for (const run of films) {
    if ([...box.children].some(holder => holder.dataset.run === run.name)) continue;
    const button = make('button', {type: 'button', textContent: word('film', {name: short(run.name)})}), holder = make('p', {}, button);
    holder.dataset.run = run.name;
    button.onclick = () => {  // the address of the film that is there now
      const src = address('film', {run: run.name, of: runs.get(run.name).film});
      holder.querySelector('img')?.remove();
      holder.append(make('img', {src, alt: word('film-of', {name: run.name})}));
    };
    box.append(holder);
  }
}

function showRecipe(chosen) {
  const all = chosen.filter(run => Object.keys(run.config).length);  // of a run without config.json nothing is known
  const keys = [...new Set(all.flatMap(run => Object.keys(run.config)))];
  const differs = keys.filter(key => new Set(all.map(run => run.config[key] ?? '')).size > 1);
  const row = key => make('tr', {}, make('th', {textContent: key, scope: 'row'}),
    ...all.map(run => make('td', {textContent: run.config[key] ?? '–'})));
  const table = (rows, className) => {
    const head = make('tr', {}, make('td'), ...all.map(run => {
      const swatch = make('span', {className: 'swatch'});
      swatch.style.setProperty('--run', colour(run));
      return make('th', {scope: 'col', title: run.name}, swatch, ` ${short(run.name)}`);
    }));
    return make('table', {className}, ...(all.length > 1 ? [make('thead', {}, head)] : []), make('tbody', {}, ...rows));
  };
  const same = keys.filter(key => !differs.includes(key));
  const open = $('#recipe details')?.open ?? all.length === 1;
  const rest = make('details', {open}, make('summary', {textContent: word(all.length > 1 ? 'same' : 'recipe')}), table(same.map(row), ''));
  const first = differs.length ? [make('h2', {textContent: word('differs')}), table(differs.map(row), 'differs')]
    : all.length > 1 ? [make('p', {textContent: word('nothing-differs')})] : [];
  $('#recipe').hidden = !keys.length;
  $('#recipe').replaceChildren(...first, rest);
}

// ---- the beginning

async function begin() {
  language = navigator.languages.map(one => one.slice(0, 2)).find(one => one === 'de' || one === 'en') ?? 'en';
  document.documentElement.lang = language;
  words = await get(`${language}.json`);
  $('h1').textContent = word('title');
  for (const [selector, key] of [['#cards', 'cards'], ['#seen', 'sheets'], ['#charts', 'curves'], ['.place input', 'place']]) {
    $(selector).setAttribute('aria-label', word(key));
  }
  $('#charts').append(make('p', {className: 'aside', textContent: word('no-curves'), hidden: true}),
    ...['quality', 'losses', 'rest'].map(key =>
      make('section', {id: key, hidden: true}, make('h2', {textContent: word(key)}), make('div', {className: 'group'}))));
  $('#films').append(make('h2', {textContent: word('films')}), make('div'));
  $('.place input').oninput = event => move(Number(event.target.value));
  $('.play').onclick = () => playing ? stop() : play();
  stop();
  dark.addEventListener('change', show);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) ask(); });
  await ask();
  setInterval(() => { if (!document.hidden) ask(); }, PERIOD);
}

begin();
