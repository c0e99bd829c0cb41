// Covers by their colours: one to three swatches are chosen, the server looks their seeds up. The colours are part of the
// place, as `find=red-blue`, and how many covers were found is in its history.
const $ = selector => element.querySelector(selector);
const MOST_FOUND = 96;  // that are looked for anew after a reload
let chosen = [], found = [], wanted = 0;

const search = asker(
  async first => {
    const of = chosen, answer = await server.of_colours({colours: of, first});
    return answer && {...answer, of};
  },
  (answer, first) => {
    if (answer.of !== chosen || !chosen.length) return;
    const news = answer.covers.map(cover => ({...cover, name: nameOf(cover.address)}));
    found = first ? [...found, ...news] : news;
    show();
    $('[role=status]').textContent = word('covers-found-n', {n: found.length});
    $('.more').hidden = !news.length;
    if (!news.length && first) $('.of-colours').lastElementChild.focus();  // what was pressed is gone
    if (news.length && found.length < wanted) search(found.length);
    else if (news.length && place.tab === 'crate') move({kept: {found: found.length}}, {instead: true});
  });

function show() {
  covers($('.of-colours'), found, place.cover, cover => { move({tab: 'crate', cover}); });
}

// Looks for covers of these colours, `many` of them at least.
function find(colours, many) {
  [chosen, wanted] = [colours, many];
  for (const swatch of $('.swatches').children) swatch.setAttribute('aria-pressed', chosen.includes(swatch.dataset.colour));
  if (chosen.length) return search(0);
  found = [];
  $('.more').hidden = true;
  show();
}

function choose(name) {
  const colours = chosen.includes(name) ? chosen.filter(one => one !== name) : [...chosen, name].slice(-props.most);
  move({more: {find: colours.join('-')}, kept: {found: 0}}, {by: 'find'});
}

$('.swatches').append(...Object.entries(props.colours).map(([name, colour]) => {
  const button = make('button', {type: 'button', title: word(`colour-${name}`), onclick: () => choose(name)});
  button.dataset.colour = name;
  button.setAttribute('aria-label', word(`colour-${name}`));
  button.setAttribute('aria-pressed', false);
  button.style.background = colour;
  return button;
}));
$('.more').addEventListener('click', () => { search(found.length); });

// What of a link are colours that there are, each once.
const named = text => [...new Set(text.split('-'))].filter(name => Object.hasOwn(props.colours, name)).slice(0, props.most);

listen('place', ({tab, more, kept}) => {
  if (tab !== 'crate') return;
  const colours = named(more.find ?? ''), many = Math.min(kept.found ?? 0, MOST_FOUND);
  if (colours.join() !== chosen.join()) find(colours, many);
  else if (found.length) show();
});
