// The tab Learn: its lessons, their words, the state in the link, and the talk. A lesson is loaded when it is opened.
//
// A lesson is a module with `defaults` (its state: text and numbers that a link can hold), `limits` (what a link may say of
// each: [lowest, highest] of a number, with a 1 behind for a whole one, a list of texts, or a pattern), `steps` (what each paragraph sets of
// it when its button is pressed, {} for nothing) and `open(stage, tools)`, which builds the figure and returns `{show(state), close()}`.
// `tools`: `t` its words, `server` the functions of learn.py, `props` facts of the page's model, `change(part)` sets state,
// `calm()` whether nothing should move, `copy(text, told)`, `link(extra)`.

import {el} from './drawing.js';
import {startTalk} from './talk.js';

export const LESSONS = ['game', 'wasserstein', 'layers', 'normalise', 'watch', 'critic', 'inside', 'wrong', 'own'];
const calm = matchMedia('(prefers-reduced-motion: reduce)');

export async function start(root, {base, server, props, language, words: coming, page}) {
  import(`./${lessonOf(page.place())}.js`);  // while the words come
  const words = await coming;
  const ui = (key, values) => fill(words.ui[key] ?? key, values);
  const lessons = LESSONS;
  const asked = memo(server);
  let name, lesson, figure, state, step = 0, talk = null, talkComes = false, opening = 0;

  root.classList.add('learn');
  root.lang = language;
  const menu = el('nav', {class: 'lessons', 'aria-label': ui('lessons')}), page_ = el('article', {class: 'lesson'});
  root.replaceChildren(menu, page_);
  const tabs = Object.fromEntries(lessons.map((one, n) => [one, el('button', {type: 'button', onclick: () => open(one)},
    el('span', {class: 'number'}, String(n + 1)), ' ', words.lessons[one].title)]));
  menu.append(...Object.values(tabs), el('button', {type: 'button', class: 'start-talk', onclick: () => setTalk(true)}, ui('talk')));

  // ---- the address

  // What the address says of the lesson; what is as it was at first is left out, and so is what another lesson left.
  function written(extra = {}) {
    const more = Object.fromEntries(Object.keys(page.place().more).filter(key => key.startsWith('learn-')).map(key => [key, '']));
    for (const [key, value] of Object.entries({...state, ...extra}))
      more[`learn-${key}`] = `${value}` === `${lesson.defaults[key]}` ? '' : `${value}`;
    return {...more, learn: name, talk: talk || talkComes ? '1' : ''};
  }
  const link = extra => {
    const said = Object.entries(written(extra)).filter(([, value]) => value);
    return `${page.address || location.origin + location.pathname}?${new URLSearchParams([['tab', 'learn'], ...said])}`;
  };
  // a lesson is a step for Back, and so is the first of several changes in it
  const remember = (how = {by: 'lesson'}) => page.move(written(), how);

  function change(part, quietly = false) {
    state = {...state, ...part};
    remember();
    if (!quietly) figure?.show(state);
  }

  async function copy(text, told) {
    try {
      await navigator.clipboard.writeText(text);
      page.tell(ui(told));
    } catch {
      const box = page_.querySelector('.copied');
      Object.assign(box, {hidden: false, value: text, rows: Math.min(12, text.split('\n').length + 1)});
      box.focus();
      box.select();
    }
  }

  // The lesson's name, where the names are a row that is scrolled along.
  const reveal = () => menu.scrollTo({left: tabs[name].offsetLeft - menu.offsetLeft - 40});

  // ---- one lesson

  async function open(wanted, given = {}, at = 0, how = {}) {
    const mine = ++opening, module = (await import(`./${wanted}.js`)).default;
    if (mine !== opening) return;
    figure?.close?.();
    [name, lesson, step] = [wanted, module, Math.min(at, module.steps.length - 1)];
    state = {...lesson.defaults};
    for (const key of Object.keys(state)) if (key in given) state[key] = like(lesson.defaults[key], given[key], lesson.limits[key]);
    if (talk) Object.assign(state, lesson.steps[step]);
    const text = words.lessons[name], t = (key, values) => fill(text.words[key] ?? words.ui[key] ?? key, values);
    for (const [one, tab] of Object.entries(tabs)) one === name ? tab.setAttribute('aria-current', 'page') : tab.removeAttribute('aria-current');
    reveal();
    const stage = el('div', {class: `stage ${name}`}), number = lessons.indexOf(name);
    const steps = text.steps.map(({say}, n) => el('li', {}, el('p', {html: say}),
      Object.keys(lesson.steps[n] ?? {}).length ? el('button', {type: 'button', class: 'quiet', onclick: () => goTo(n, true)}, ui('show-me')) : ''));
    const here = page_.contains(document.activeElement);
    page_.replaceChildren(
      el('header', {}, el('h2', {tabindex: '-1'}, text.title), el('p', {class: 'lead', html: text.lead})),
      el('div', {class: 'board'}, stage, el('section', {class: 'said'},
        el('ol', {class: 'steps'}, ...steps),
        ...text.exercises.map(({ask, answer}) => el('details', {class: 'exercise'}, el('summary', {}, el('span', {html: ask})), el('p', {html: answer}))),
        el('p', {class: 'sources'}, `${ui('sources')} `, ...text.sources.flatMap(([label, href], n) => [n ? '; ' : '', el('a', {href, target: '_blank', rel: 'noopener'}, label)])))),
      el('textarea', {class: 'copied', hidden: true, readonly: true, 'aria-label': ui('to-copy')}),
      el('p', {class: 'onwards'},
        el('button', {type: 'button', onclick: () => copy(link(figure.now?.() ?? {}), 'link-copied')}, ui('copy-link')),
        number + 1 < lessons.length ? el('button', {type: 'button', class: 'keep', onclick: () => { open(lessons[number + 1]); root.scrollIntoView({block: 'start'}); }},
          ui('next', {title: words.lessons[lessons[number + 1]].title})) : ''));
    const tools = {cover: page.cover ?? (() => null), t, server: asked, props, change, copy, link, base, calm: () => calm.matches, talking: () => talk !== null, complain: page.complain};
    figure = lesson.open(stage, tools, state);
    figure.show(state);
    if (here) page_.querySelector('h2').focus({preventScroll: true});  // "Next" is gone
    mark();
    remember(how);
    performance.mark(`lesson-${name}`);
  }

  function mark() {
    page_.querySelectorAll('.steps > li').forEach((item, n) => item.classList.toggle('now', n === step));
    talk?.shown({name, step, steps: lesson.steps.length, lesson: lessons.indexOf(name), lessons: lessons.length, words: words.lessons[name], next: words.lessons[lessons[lessons.indexOf(name) + 1]]});
  }

  function goTo(n, pressed = false) {
    step = n;
    const stage = page_.querySelector('.stage');
    // on a phone the figure lies above what is said of it
    if (pressed && stage.getBoundingClientRect().top < 0) stage.scrollIntoView({block: 'start', behavior: calm.matches ? 'auto' : 'smooth'});
    const part = lesson.steps[n] ?? {};
    if (pressed || talk) change(pressed ? part : {...part});
    figure.step?.(n);
    mark();
  }

  // ---- the talk

  async function move(by) {
    const at = lessons.indexOf(name);
    if (by > 0 && step + 1 < lesson.steps.length) return goTo(step + 1);
    if (by < 0 && step > 0) return goTo(step - 1);
    const other = lessons[at + by];
    if (!other) return;
    await open(other, {}, by > 0 ? 0 : Infinity);
  }

  function setTalk(on) {
    if (!on) {
      talk = null;
      root.classList.remove('talk');
      remember();
      return;
    }
    root.classList.add('talk');
    talk = startTalk(root, {ui, move, jump: n => lessons[n] && open(lessons[n]), end: () => setTalk(false), fill});
    const all = lessons.map(one => import(`./${one}.js`).then(module => module.default.ahead?.(asked, props, base)));
    Promise.all(all).then(() => talk?.ready(), () => {});  // from then on the network may go
    open(name, state, step);
  }

  // Goes where the address says; what cannot be read there is as at first.
  async function arrive({more}) {
    const wanted = lessonOf({more}, name);
    const given = Object.fromEntries(Object.entries(more).filter(([key, value]) => key.startsWith('learn-') && value).map(([key, value]) => [key.slice(6), value]));
    const now = Object.fromEntries(Object.entries(name ? written() : {}).filter(([, value]) => value));
    const then = Object.fromEntries(Object.entries(more).filter(([key, value]) => value && (key === 'learn' || key === 'talk' || key.startsWith('learn-'))));
    if (name && same(now, then)) return;
    talkComes = more.talk === '1';
    await open(wanted, given, 0, {instead: true});
    if (talkComes !== (talk !== null)) setTalk(talkComes);
    talkComes = false;
  }
  await arrive(page.place());
  new ResizeObserver(() => { figure?.show(state); reveal(); }).observe(page_);
  new MutationObserver(() => figure?.show(state)).observe(document.body, {attributeFilter: ['class']});  // light or dark
  return {open, arrive};
}

const lessonOf = ({more}, otherwise = LESSONS[0]) => LESSONS.includes(more.learn) ? more.learn : otherwise;
const same = (a, b) => Object.keys({...a, ...b}).every(key => a[key] === b[key]);

// What a link says, or `otherwise` where its lesson does not take that: anybody may have written the link.
export function like(otherwise, text, limit) {
  if (typeof otherwise !== 'number') return (limit instanceof RegExp ? limit.test(text) : limit.includes(text)) ? text : otherwise;
  const number = +text, [low, high, whole] = limit;
  return text === '' || !Number.isFinite(number) ? otherwise : Math.max(low, Math.min(high, whole ? Math.round(number) : number));
}

const fill = (text, values = {}) => text.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);

// The same question is asked once; an answer that did not come is asked for again.
function memo(server) {
  const known = new Map();
  return new Proxy({}, {get: (_, name) => payload => {
    const key = `${name} ${JSON.stringify(payload)}`;
    if (!known.has(key)) {
      const answer = server[name](payload).then(told => { if (!told) throw new Error('no answer'); return told; });
      known.set(key, answer);
      answer.catch(() => known.delete(key));
      if (known.size > 200) known.delete(known.keys().next().value);
    }
    return known.get(key);
  }});
}
