// Fetches the lessons when the tab is first opened; until then the page has nothing of them.
const root = element.querySelector('.learn-part');
const base = new URL('learn', `${(window.gradio_config.root || location.origin).replace(/\/$/, '')}/`).href;
let lessons;

async function begin() {
  const ask = values => document.head.append(Object.assign(document.createElement('link'), values));
  ask({rel: 'stylesheet', href: `${base}/learn.css`});
  for (const part of ['drawing', 'talk']) ask({rel: 'modulepreload', href: `${base}/${part}.js`});  // main.js will want them
  const language = document.documentElement.lang === 'de' ? 'de' : 'en', words = fetch(`${base}/words/${language}.json`);
  const {start} = await import(`${base}/main.js`);
  return start(root, {
    base, server, props, language, words: words.then(answer => answer.json()),
    page: {
      address: window.SPACE,
      place: () => window.place, move: (more, how) => window.place.tab === 'learn' && move({more}, how),
      cover: () => document.querySelector('#crate .sleeve img')?.src,
      tell: text => say('tell', text), complain: answer => say('complain', refusal(answer)),
    },
  });
}

listen('place', place => {
  if (place.tab !== 'learn') return;
  if (lessons) lessons.then(({arrive}) => arrive(window.place), () => {});
  else (lessons = begin()).catch(error => { root.textContent = `${error}`; throw error; });
});
if (window.place.tab === 'learn' && !lessons) say('place', window.place);
