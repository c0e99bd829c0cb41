// Stands in the page's head, so that every template and script of the page has it.

// The words of a key (locale/) in the visitor's language; {name} in them is replaced by values.name.
window.word = (key, values = {}) => {
  const all = window.gradio_config.i18n_translations;
  const language = navigator.language.split("-")[0] in all ? navigator.language.split("-")[0] : "en";
  document.documentElement.lang = language;
  return (all[language][key] ?? all.en[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
};

// Makes a button deaf for a while, or until there is something to do. One that is `disabled` would lose the focus.
window.dim = (button, on = true) => button.setAttribute("aria-disabled", on);
document.addEventListener("click", event => {
  if (event.target.closest?.('[aria-disabled="true"]')) event.stopImmediatePropagation(), event.preventDefault();
}, true);

// A number as the visitor's language writes it.
window.inDigits = (number, digits) => Number(number).toLocaleString(document.documentElement.lang, digits === undefined
  ? {} : {minimumFractionDigits: digits, maximumFractionDigits: digits});

window.inPercent = share => Number(share).toLocaleString(document.documentElement.lang, {style: "percent"});

// The sentence with which the server refuses something (`for_the_page` in checks.py), in the visitor's language.
window.refusal = ({words: [sentence, fields]}) => {
  const inWords = (text, values) => word(`refused: ${text}`, values).replace(/^refused: /, "");
  const told = field => /^-?\d+\.\d+$/.test(field) ? inDigits(field) : inWords(field);  // 1,5 in German
  const said = inWords(sentence, Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, told(field)])));
  return `${said[0].toUpperCase()}${said.slice(1)}.`;
};

// The address that opens a cover here: the one to share.
window.linkTo = query => `${window.SPACE}?${query}`;

// What a cover is called in a sentence: its seed, or that it is between seeds, its genre, kind and colours.
window.nameOf = query => {
  const parts = new URLSearchParams(query), seed = parts.get("seed");
  const name = seed === null ? word("between") : word("seed-n", {seed});
  const kind = parts.has("kind") && word("kind-n", {n: parts.get("kind")});
  return [name, parts.get("genre"), kind, parts.has("colours") && inWords(parts.get("colours"))].filter(Boolean).join(", ");
};

// Colours of an address, such as black10-red30, by their names.
window.inWords = colours => colours.split("-").map(share => word(`colour-${share.replace(/\d+$/, "")}`)).join(", ");

// A file as text, as the server takes it.
window.inBase64 = async file => {
  const bytes = new Uint8Array(await file.arrayBuffer()), parts = [];
  for (let at = 0; at < bytes.length; at += 32768) parts.push(String.fromCharCode(...bytes.subarray(at, at + 32768)));
  return btoa(parts.join(""));
};

// The first bytes of a file, a letter each; of a folder there are none.
window.headOf = async file => {
  try {
    return String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  } catch {
    return "";
  }
};

// A picture that a visitor gives, {bitmap}, or {wrong}: the sentence that says why it is none, as far as a browser can tell.
window.pictureOf = async file => {
  if (!/^(\x89PNG|\xff\xd8\xff|RIFF[^]{4}WEBP)/.test(await headOf(file))) return {wrong: word("not-a-picture")};
  if (file.size > LARGEST_FILE) return {wrong: word("too-large")};
  try {
    return {bitmap: await createImageBitmap(file)};
  } catch {
    return {wrong: word("damaged")};
  }
};

// Shows a cover in the sleeve (sleeve.html) inside of `stand`.
window.putInSleeve = (stand, cover, details) => {
  const name = nameOf(cover.address), query = new URLSearchParams(cover.address);
  const picture = stand.querySelector(".sleeve img");
  stand.dataset.address = cover.address;
  picture.src = cover.src;
  picture.alt = word("cover-of", {name});
  stand.querySelector(".details").textContent = details ?? `${name}, ${word("truncation-n", {n: inDigits(query.get("truncation"))})}`;
  Object.assign(stand.querySelector(".download"), {href: cover.src, download: `album-cover-${query.get("seed") ?? query.get("latents").slice(0, 8)}.png`});
  Object.assign(stand.querySelector(".link"), {href: linkTo(cover.address), textContent: word("link")});
  say("sleeved", cover);
};

// Tells all parts of the page something.
window.say = (name, detail) => document.dispatchEvent(new CustomEvent(name, {detail}));

// A part of the page may begin after something was said: `listen` also tells it what was said before.
const said = {};
for (const name of ["shelved", "sleeved", "place"]) document.addEventListener(name, event => { said[name] = event.detail; });
window.listen = (name, act) => {
  document.addEventListener(name, event => act(event.detail));
  if (name in said) act(said[name]);
};

// ---- the place: the tab, the cover that one is looking at, and what the tab adds to it
//
// It is in the address bar and in the browser's history, so that a reload, Back and a link find it again.
// `place.more` are words that the address has while their tab is open, `place.kept` is for the history alone.

const COVER = ["seed", "latents", "truncation", "genre", "kind", "colours", "model", "revision", "weights"];
const MORE = {crate: ["find"], breed: ["line"], walk: ["film", "to", "frames", "speed", "compare"], finish: ["artist", "title", "layout", "font", "ink", "position"], learn: ["learn", "talk"]};
const ownerOf = key => key.startsWith("learn-") ? "learn" : Object.keys(MORE).find(tab => MORE[tab].includes(key));

window.place = history.state?.place ?? readPlace();

function readPlace() {
  const cover = new URLSearchParams(), more = {};
  for (const [key, value] of new URLSearchParams(location.search)) COVER.includes(key) ? cover.set(key, value) : more[key] = value;
  const {tab, ...rest} = more, known = TABS.includes(tab) ? tab : more.learn || more.talk ? "learn" : "crate";
  return {tab: known, cover: cover.has("seed") || cover.has("latents") ? cover.toString() : "", more: rest, kept: {}};
}

function addressOf({tab, cover, more}) {
  const added = Object.entries(more).filter(([key, value]) => value && [tab, undefined].includes(ownerOf(key)));
  const rest = new URLSearchParams([...(tab === "crate" ? [] : [["tab", tab]]), ...added]).toString();
  return `${location.pathname}?${[cover, rest].filter(Boolean).join("&")}`;
}

// Goes to another place. A place that the same control made as the one before (`by`) takes its place in the history,
// and so does one that says the same better (`instead`); any other is a step for Back.
window.move = (change, {by = "", instead = false} = {}) => {
  const next = {...place, ...change, more: {...place.more, ...change.more}, kept: {...place.kept, ...change.kept}};
  const same = JSON.stringify(next) === JSON.stringify(place);
  if (!same || instead) {
    const replaced = instead || same || (by && by === history.state?.by && next.tab === place.tab);
    window.place = next;
    history[replaced ? "replaceState" : "pushState"]({place: next, by: instead ? history.state?.by ?? "" : by}, "", addressOf(next));
  }
  arrive();
};

// Gradio names its foot in English alone, for screen readers.
document.addEventListener("place", () => {
  document.querySelector('footer[aria-label^="Gradio"]')?.setAttribute("aria-label", word("foot"));
});

function arrive() {
  showPanel();
  say("place", place);
}

addEventListener("popstate", event => { window.place = event.state?.place ?? readPlace(); arrive(); });

const seen = document.head.appendChild(document.createElement("style"));  // of the panels only one is
function showPanel() { seen.textContent = `.gradio-container #panel-${place.tab} { display: flex !important; }`; }
showPanel();

// Several covers in few letters, for the address: their seeds or latents, all of the generator that drew `like`.
window.pack = queries => queries.map(query => {
  const parts = new URLSearchParams(query), truncation = parts.get("truncation") ?? "1", genre = parts.get("genre");
  const [kind, colours] = [parts.get("kind"), parts.get("colours")];
  return (parts.get("seed") ?? `x${parts.get("latents")}`) + (truncation === "1" ? "" : `@${truncation}`)
    + (kind ? `*${kind}` : "") + (colours ? `:${colours}` : "") + (genre ? `!${genre}` : "");
}).join("~");
window.unpack = (text, like) => text.split("~").filter(Boolean).map(packed => {
  const {point, truncation = "1", kind, colours, genre} = packed.match(
    /^(?<point>[^@*:!]*)(@(?<truncation>[^*:!]*))?(\*(?<kind>[^:!]*))?(:(?<colours>[^!]*))?(!(?<genre>.*))?$/s).groups;
  const parts = new URLSearchParams({[point[0] === "x" ? "latents" : "seed"]: point.replace(/^x/, ""), truncation});
  for (const [key, value] of Object.entries({genre, kind, colours})) if (value) parts.set(key, value);
  for (const [key, value] of new URLSearchParams(like)) if (["model", "revision", "weights"].includes(key)) parts.set(key, value);
  return parts.toString().replaceAll("%2F", "/");
});

const ready = start => document.body ? start() : document.addEventListener("DOMContentLoaded", start);

ready(() => {
  // `complain` is a sentence for the visitor, about something that was wrong; `tell` about something that went well.
  // An object instead, {text, stays, act, does}, stays until it is answered, or offers what to do.
  const toast = Object.assign(document.createElement("div"), {className: "toast", hidden: true});
  const sentence = document.createElement("span"), does = document.createElement("button"), close = document.createElement("button");
  for (const button of [does, close]) button.type = "button";
  close.textContent = "×";
  toast.setAttribute("role", "alert");
  toast.append(sentence, does, close);
  document.body.append(toast);
  let timer, act, from;  // from where the focus came to the toast; there it goes back
  toast.addEventListener("focusin", event => { if (!toast.contains(event.relatedTarget)) from = event.relatedTarget; });
  const hide = () => {
    if (toast.contains(document.activeElement)) from?.isConnected ? from.focus({preventScroll: true}) : document.querySelector('[role="tab"][tabindex="0"]').focus({preventScroll: true});
    toast.classList.remove("shown");
  };
  const fade = () => { toast.matches(":focus-within") ? timer = setTimeout(fade, 1000) : hide(); };
  close.onclick = hide;
  does.onclick = () => { hide(); act(); };
  for (const kind of ["complain", "tell"]) document.addEventListener(kind, event => {
    const {text, stays = false, ...offer} = typeof event.detail === "string" ? {text: event.detail} : event.detail;
    sentence.textContent = text;
    act = offer.act;
    does.hidden = !act;
    does.textContent = offer.does ?? "";
    close.setAttribute("aria-label", word("close"));
    toast.dataset.kind = kind;
    toast.hidden = false;
    toast.classList.add("shown");
    clearTimeout(timer);
    if (!stays) timer = setTimeout(fade, act ? 20000 : 7000);
  });

  // a link to a cover goes to the clipboard where the browser lets it; the address bar has the cover in any case
  document.addEventListener("click", async event => {
    const link = event.target.closest(".link[href]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || window.SPACE) return;
    event.preventDefault();
    try {
      await navigator.clipboard.writeText(link.href);
      say("tell", word("link-copied"));
    } catch {
      say("tell", word("link-above"));
    }
  });
});
