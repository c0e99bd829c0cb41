const complain = sentence => document.dispatchEvent(new CustomEvent('complain', {detail: sentence}));
// Of a server that is not reached Gradio gives undefined for an answer.
const arrived = async question => {
  const answer = await question;
  if (!answer) throw new Error('no answer');
  return answer;
};
// Between two questions to a server that is not reached.
const aWhile = () => new Promise(resolve => setTimeout(resolve, 3000));
const make = (tag, values) => Object.assign(document.createElement(tag), values);

// One question of a kind at a time; of those asked meanwhile only the newest.
function asker(question, answered, refused = complain) {
  let busy = false, next = null;
  return async function ask(...what) {
    if (busy) return void (next = what);
    busy = true;
    let answer = null;
    try {
      answer = await arrived(question(...what));
      answer.refused ? refused(refusal(answer)) : answered(answer, ...what);
    } catch (error) {
      console.warn(error);
      complain(word('no-answer'));
      if (!answer) await aWhile(), next ??= what;
    }
    busy = false;
    if (next) [what, next] = [next, null], ask(...what);
  };
}

// A question that is asked once: its answer, or {} after the visitor was told that none came.
async function reached(question) {
  try {
    const answer = await arrived(question);
    if (answer.refused) complain(refusal(answer));
    return answer;
  } catch (error) {
    console.warn(error);
    complain(word('unreachable'));
    return {};
  }
}

// Does what hides or shows buttons. Where the one with the focus is hidden, another of its row has it then, or of its part.
function keepingFocus(act) {
  const focused = document.activeElement, here = element.contains(focused);
  act();
  if (!here || focused.checkVisibility()) return;
  const seen = within => [...within.querySelectorAll('button, input')].find(other => other.checkVisibility());
  (seen(focused.parentElement) ?? seen(element))?.focus({preventScroll: true});
}

// A row of covers to choose from; `covers` are {address, src, name}, `chosen` the address that is. A cover that stays keeps
// its button: who walks along the row meets each one once, also while others come.
function covers(row, covers, chosen, choose, none) {
  const before = [...row.children], focused = before.indexOf(document.activeElement);
  const buttons = covers.map(({address, src, name}) => {
    const button = before.find(one => one.address === address) ?? make('button', {type: 'button', address});
    Object.assign(button, {title: name, onclick: () => choose(address)});
    button.setAttribute('aria-pressed', address === chosen);
    button.replaceChildren(make('img', {src, alt: word('cover-of', {name})}));
    return button;
  });
  if (!buttons.length && none) buttons.push(make('p', {className: 'aside', textContent: none}));
  row.replaceChildren(...buttons);
  if (focused < 0) return;
  const stays = buttons.includes(before[focused]) ? before[focused] : buttons[Math.min(focused, buttons.length - 1)];
  stays?.focus({preventScroll: true});
}

// Pictures of covers by their addresses, those that this generator can draw: [{address, src, name}, ...]. Without a
// network they come when it is back.
async function drawn(addresses) {
  if (!addresses.length) return [];
  const answer = await server.portraits(addresses.slice(0, 64));
  if (!answer) return aWhile().then(() => drawn(addresses));
  const {pictures} = answer, all = addresses.map((address, n) => ({address, src: pictures?.[n] ?? '', name: nameOf(address)}));
  return all.filter(cover => cover.src);
}
