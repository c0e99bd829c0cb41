// The row of tabs. Which one is open is part of the place (page.js); style.css shows its panel.
const tabs = [...element.querySelectorAll('[role=tab]')];
const nameOfTab = tab => tab.id.slice('tab-'.length);

function show() {
  const names = tabs.map(nameOfTab), open = names.includes(place.tab) ? place.tab : 'crate';
  document.documentElement.dataset.tab = open;
  for (const tab of tabs) {
    const selected = nameOfTab(tab) === open;
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
