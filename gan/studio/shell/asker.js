const complain = sentence => document.dispatchEvent(new CustomEvent('complain', {detail: sentence}));
const make = (tag, values) => Object.assign(document.createElement(tag), values);

// One question of a kind at a time; of those asked meanwhile only the newest.
function asker(question, answered, refused = complain) {
  let busy = false, next = null;
  return async function ask(...what) {
    if (busy) return void (next = what);
    busy = true;
    try {
      const answer = await question(...what);
      answer.refused ? refused(refusal(answer)) : answered(answer, ...what);
    } catch (error) {
      console.warn(error);
      complain(word('no-answer'));
    }
    busy = false;
    if (next) [what, next] = [next, null], ask(...what);
  };
}

// A row of covers to choose from; `covers` are {address, src, name}, `chosen` the address that is.
function covers(row, covers, chosen, choose, none) {
  const buttons = covers.map(({address, src, name}) => {
    const button = make('button', {type: 'button', title: name});
    button.setAttribute('aria-pressed', address === chosen);
    button.append(make('img', {src, alt: word('cover-of', {name})}));
    button.onclick = () => choose(address);
    return button;
  });
  if (!buttons.length && none) buttons.push(make('p', {className: 'aside', textContent: none}));
  row.replaceChildren(...buttons);
}

// Pictures of covers by their addresses, those that this generator can draw: [{address, src, name}, ...].
async function drawn(addresses) {
  if (!addresses.length) return [];
  const {pictures} = await server.portraits(addresses.slice(0, 64));
  const all = addresses.map((address, n) => ({address, src: pictures?.[n] ?? '', name: nameOf(address)}));
  return all.filter(cover => cover.src);
}
