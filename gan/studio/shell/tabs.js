// The row of tabs. Which one is open is part of the place (page.js), which shows its panel.
const nameOfTab = tab => tab.id.slice('tab-'.length);
const tabs = TABS.map(name => {
  const tab = make('button', {type: 'button', id: `tab-${name}`, textContent: word(name)});
  tab.setAttribute('role', 'tab');
  tab.setAttribute('aria-controls', `panel-${name}`);
  return tab;
});
element.querySelector('[role=tablist]').append(...tabs);

function show() {
  const left = document.activeElement?.closest('[id^=panel-]');
  for (const tab of tabs) {
    const selected = nameOfTab(tab) === place.tab;
    if (selected && left && left.id !== `panel-${place.tab}`) tab.focus();  // what was pressed is no longer seen
    tab.setAttribute('aria-selected', selected);
    tab.tabIndex = selected ? 0 : -1;
    if (selected) tab.parentElement.scrollTo({left: tab.offsetLeft - (tab.parentElement.clientWidth - tab.offsetWidth) / 2});
  }
}

for (const tab of tabs) tab.addEventListener('click', () => move({tab: nameOfTab(tab)}));
element.addEventListener('keydown', event => {
  const steps = {ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity}, step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  const at = tabs.indexOf(document.activeElement);
  const next = tabs[Math.abs(step) === 1 ? (at + step + tabs.length) % tabs.length : step < 0 ? 0 : tabs.length - 1];
  next.focus();
  next.click();
});
listen('place', show);
show();
