// The talk: full screen, large type, one paragraph at a time; keys, a clicker's too; notes in a second window.

import {el} from './drawing.js';

const FORWARDS = new Set(['ArrowRight', 'ArrowDown', 'PageDown', ' ', 'Enter']);
const BACK = new Set(['ArrowLeft', 'ArrowUp', 'PageUp', 'Backspace']);

export function startTalk(root, {ui, move, jump, end, fill}) {
  let notes = null, now = null;
  const began = Date.now();
  const place = el('span', {class: 'place', role: 'status'}), loaded = el('span', {class: 'loaded', role: 'status'}), dark = el('div', {class: 'dark-screen', hidden: true});
  const button = (key, act) => el('button', {type: 'button', onclick: act, title: ui(`${key}-key`)}, ui(key));
  const bar = el('div', {class: 'talk-bar'}, button('back', () => move(-1)), place, button('forwards', () => move(1)),
    button('notes', openNotes), button('full-screen', fullScreen), button('end-talk', stop), loaded);
  root.append(bar, dark);

  // A control of the figure that has the focus keeps its own keys; Escape gives them back to the talk.
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const {key, target} = event, mine = !target.closest?.('input, select, textarea, summary, button, canvas, a, [tabindex="0"]');
    if (key === 'Escape') return mine ? stop() : target.blur();
    const clicker = key === 'PageDown' || key === 'PageUp';
    if (!mine && !clicker) return;
    if (FORWARDS.has(key)) move(1);
    else if (BACK.has(key)) move(-1);
    else if (key === 'b' || key === '.') dark.hidden = !dark.hidden;
    else if (key === 'n') openNotes();
    else if (key === 'f') fullScreen();
    else if (key >= '1' && key <= '9') jump(Number(key) - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  document.addEventListener('keydown', onKey, true);

  function fullScreen() {
    document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.().catch(() => {});
  }

  function openNotes() {
    if (notes && !notes.closed) return notes.focus();
    notes = window.open('', 'learn-notes', 'width=720,height=560');
    if (!notes) return;
    notes.document.title = ui('notes');
    notes.document.addEventListener('keydown', onKey, true);
    write();
  }

  function write() {
    if (!notes || notes.closed || !now) return;
    const {words, step, steps, next} = now, after = words.steps[step + 1]?.say ?? next?.title ?? ui('the-end');
    notes.document.body.style.cssText = 'margin:0;padding:28px;font:22px/1.5 ui-sans-serif,system-ui,sans-serif;background:#1c1917;color:#fafaf9';
    notes.document.body.replaceChildren(
      el('p', {style: 'color:#a8a29e;margin:0'}, `${words.title} · ${step + 1}/${steps}`),
      el('p', {style: 'font-size:26px', html: words.steps[step].notes}),
      el('p', {style: 'color:#a8a29e', html: `${ui('then')} ${after}`}),
      el('p', {style: 'color:#fb923c;font-variant-numeric:tabular-nums', class: 'clock'}));
    tick();
  }

  function tick() {
    const seconds = Math.floor((Date.now() - began) / 1000), clock = notes && !notes.closed && notes.document.querySelector('.clock');
    if (clock) clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  }
  const ticking = setInterval(tick, 1000);

  function stop() {
    document.removeEventListener('keydown', onKey, true);
    clearInterval(ticking);
    if (document.fullscreenElement) document.exitFullscreen();
    notes?.close();
    bar.remove();
    dark.remove();
    end();
  }

  return {
    ready() { loaded.textContent = ui('loaded'); },
    shown(what) {
      now = what;
      place.textContent = fill(ui('place'), {lesson: what.lesson + 1, lessons: what.lessons, step: what.step + 1, steps: what.steps});
      write();
    },
  };
}
