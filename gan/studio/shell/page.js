// Stands in the page's head, so that every template and script of the page has it.

// The words of a key (locale/) in the visitor's language; {name} in them is replaced by values.name.
window.word = (key, values = {}) => {
  const all = window.gradio_config.i18n_translations;
  const language = navigator.language.split("-")[0] in all ? navigator.language.split("-")[0] : "en";
  document.documentElement.lang = language;
  return (all[language][key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
};

// The sentence with which the server refuses something (`for_the_page` in checks.py), in the visitor's language.
window.refusal = ({words: [sentence, fields]}) => {
  const inWords = (text, values) => word(`refused: ${text}`, values).replace(/^refused: /, "");
  const said = inWords(sentence, Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, inWords(field)])));
  return `${said[0].toUpperCase()}${said.slice(1)}.`;
};

// The address that opens a cover here: the one to share.
window.linkTo = query => `${window.SPACE}?${query}`;

// What a cover is called in a sentence: its seed, or that it is between seeds, and its genre.
window.nameOf = query => {
  const parts = new URLSearchParams(query), seed = parts.get("seed");
  const name = seed === null ? word("between") : word("seed-n", {seed});
  return parts.has("genre") ? `${name}, ${parts.get("genre")}` : name;
};

// Shows a cover in the sleeve (sleeve.html) inside of `stand`.
window.putInSleeve = (stand, cover, details) => {
  const name = nameOf(cover.address), query = new URLSearchParams(cover.address);
  const picture = stand.querySelector(".sleeve img");
  stand.dataset.address = cover.address;
  picture.src = cover.src;
  picture.alt = word("cover-of", {name});
  stand.querySelector(".details").textContent = details ?? `${name}, ${word("truncation-n", {n: query.get("truncation")})}`;
  Object.assign(stand.querySelector(".download"), {href: cover.src, download: `album-cover-${query.get("seed") ?? query.get("latents").slice(0, 8)}.png`});
  Object.assign(stand.querySelector(".link"), {href: linkTo(cover.address), textContent: word("link")});
};

const ready = start => document.body ? start() : document.addEventListener("DOMContentLoaded", start);

ready(() => {
  // `complain` is a sentence for the visitor, about something that was wrong; `tell` about something that went well
  const toast = Object.assign(document.createElement("div"), {className: "toast"});
  toast.setAttribute("role", "alert");
  document.body.append(toast);
  let hide;
  for (const kind of ["complain", "tell"]) document.addEventListener(kind, event => {
    toast.textContent = event.detail;
    toast.dataset.kind = kind;
    toast.classList.add("shown");
    clearTimeout(hide);
    hide = setTimeout(() => toast.classList.remove("shown"), 7000);
  });

  // a link to a cover goes to the clipboard where the browser lets it, and to the address bar in any case
  document.addEventListener("click", async event => {
    const link = event.target.closest(".link[href]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || window.SPACE) return;
    event.preventDefault();
    history.replaceState(null, "", link.href);
    try {
      await navigator.clipboard.writeText(link.href);
      document.dispatchEvent(new CustomEvent("tell", {detail: word("link-copied")}));
    } catch {
      document.dispatchEvent(new CustomEvent("tell", {detail: word("link-above")}));
    }
  });
});

// Tells all parts of the page something.
window.say = (name, detail) => document.dispatchEvent(new CustomEvent(name, {detail}));

// A tab's script begins when the tab is first opened: `listen` also tells it what was said before.
const said = {};
for (const name of ["shelved", "breed", "finish"]) document.addEventListener(name, event => { said[name] = event.detail; });
window.listen = (name, act) => {
  document.addEventListener(name, event => act(event.detail));
  if (said[name]) act(said[name]);
};
