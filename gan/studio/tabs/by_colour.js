// Covers by their colours: one to three swatches are chosen, the server looks their seeds up.
const $ = selector => element.querySelector(selector);
let chosen = [], found = [];

const search = asker(
  first => server.of_colours({colours: chosen, first}),
  (answer, first) => {
    if (!chosen.length) return;
    const news = answer.covers.map(cover => ({...cover, name: nameOf(cover.address)}));
    found = first ? [...found, ...news] : news;
    show();
    $('[role=status]').textContent = word('covers-found-n', {n: found.length});
    $('.more').hidden = !news.length;
  });

function show() {
  covers($('.of-colours'), found, place.cover, cover => { move({tab: 'crate', cover}); });
}

function choose(button) {
  const name = button.dataset.colour;
  chosen = chosen.includes(name) ? chosen.filter(one => one !== name) : [...chosen, name].slice(-props.most);
  for (const swatch of $('.swatches').children) swatch.setAttribute('aria-pressed', chosen.includes(swatch.dataset.colour));
  if (chosen.length) return search(0);
  found = [];
  $('.more').hidden = true;
  show();
}

$('.swatches').append(...Object.entries(props.colours).map(([name, colour]) => {
  const button = make('button', {type: 'button', title: word(`colour-${name}`), onclick: () => choose(button)});
  button.dataset.colour = name;
  button.setAttribute('aria-label', word(`colour-${name}`));
  button.setAttribute('aria-pressed', false);
  button.style.background = colour;
  return button;
}));
$('.more').addEventListener('click', () => search(found.length));
listen('place', () => { if (found.length) show(); });
