// What the lessons draw with: elements, controls, canvases that are sharp on every screen, small curves.

// An element; `html` holds words of ours, `on…` are listeners, everything else attributes.
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'html') made.innerHTML = value;
    else if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (key === 'hidden' || key === 'value' || key === 'checked') made[key] = value;
    else if (key.startsWith('aria-')) made.setAttribute(key, value);  // "false" says something there
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter(child => child !== '' && child != null));
  return made;
}

let names = 0;

// A row of which one is chosen: radio buttons, so that arrow keys work.
export function choice(label, options, act) {
  const name = `learn-${++names}`;
  const boxes = options.map(([value, text]) => {
    const input = el('input', {type: 'radio', name, value, onchange: () => act(value)});
    return el('label', {}, input, el('span', {}, text));
  });
  const group = el('fieldset', {class: 'choice'}, el('legend', {}, label), el('div', {}, ...boxes));
  return {group, set: value => { for (const box of boxes) box.firstChild.checked = box.firstChild.value === `${value}`; }};
}

export function slider(label, {min, max, step, name}, act, format = x => digits(x, 2)) {
  const told = el('output', {}), input = el('input', {type: 'range', min, max, step, oninput: () => { told.textContent = format(+input.value); act(+input.value); }});
  if (name) input.dataset.name = name;
  const row = el('label', {class: 'dial'}, el('span', {}, label), input, told);
  return {row, input, set: value => { input.value = value; told.textContent = format(+value); }};
}

export function tick(label, act) {
  const input = el('input', {type: 'checkbox', onchange: () => act(input.checked)});
  return {row: el('label', {class: 'tick'}, input, ' ', label), set: on => { input.checked = on; }};
}

// The colours of the page, real blue and generated orange, in light and in dark.
export function colours() {
  const dark = document.body.classList.contains('dark'), style = getComputedStyle(document.body);
  const of = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  return {
    dark,
    text: of('--body-text-color', dark ? '#f5f5f4' : '#1c1917'), quiet: of('--body-text-color-subdued', '#78716c'),
    ground: of('--background-fill-secondary', dark ? '#292524' : '#f5f5f4'), line: of('--border-color-primary', '#d6d3d1'),
    page: of('--body-background-fill', dark ? '#0c0a09' : '#fff'),
    real: dark ? '#60a5fa' : '#1d4ed8', fake: dark ? '#fb923c' : '#c2410c',
    realGround: dark ? [30, 64, 130] : [147, 190, 255], fakeGround: dark ? [130, 60, 20] : [255, 186, 130], middle: dark ? [28, 25, 23] : [250, 250, 249],
  };
}

// A pen for a canvas in CSS pixels. The canvas has its size from the page; null while it has none.
export function penOf(canvas) {
  const width = canvas.clientWidth, height = canvas.clientHeight, scale = Math.min(2, devicePixelRatio || 1);
  if (!width || !height) return null;
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const pen = canvas.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return {pen, width, height};
}

// Curves in one picture. `lines`: [{values: [[x, y], ...], colour, label}]; `mark`: an x to be marked.
export function curves(canvas, lines, {mark = null, low = null, high = null, from = null, to = null, text = ''} = {}) {
  const drawn = penOf(canvas);
  if (!drawn) return;
  const {pen, width, height} = drawn, look = colours(), left = 46, right = 8, top = 10, bottom = 20;
  const all = lines.flatMap(line => line.values).filter(([, y]) => Number.isFinite(y));
  if (!all.length) return;
  const xs = all.map(([x]) => x), ys = all.map(([, y]) => y).sort((a, b) => a - b);
  const x0 = from ?? Math.min(...xs), x1 = Math.max(to ?? Math.max(...xs), x0 + 1);
  let y0 = low ?? ys[Math.floor(ys.length * 0.01)], y1 = high ?? ys[Math.ceil(ys.length * 0.99) - 1];
  if (y1 - y0 < 1e-9) [y0, y1] = [y0 - 0.5, y1 + 0.5];
  const px = x => left + (x - x0) / (x1 - x0) * (width - left - right), py = y => top + (y1 - Math.min(y1, Math.max(y0, y))) / (y1 - y0) * (height - top - bottom);
  pen.font = '12px ui-sans-serif, system-ui, sans-serif';
  pen.fillStyle = look.quiet;
  pen.strokeStyle = look.line;
  pen.textAlign = 'right';
  for (const y of [y0, (y0 + y1) / 2, y1]) {
    pen.fillText(short(y), left - 6, py(y) + 4);
    pen.beginPath(); pen.moveTo(left, py(y)); pen.lineTo(width - right, py(y)); pen.stroke();
  }
  pen.fillText(`${short(x1)}${text}`, width - right, height - 4);
  pen.textAlign = 'left';
  pen.fillText(short(x0), left, height - 4);
  for (const {values, colour, wide = 1.8} of lines) {
    pen.strokeStyle = colour;
    pen.lineWidth = wide;
    pen.lineJoin = 'round';
    pen.beginPath();
    values.forEach(([x, y], n) => n ? pen.lineTo(px(x), py(y)) : pen.moveTo(px(x), py(y)));
    pen.stroke();
  }
  if (mark !== null) {
    pen.strokeStyle = look.text;
    pen.lineWidth = 1.2;
    pen.beginPath(); pen.moveTo(px(mark), top); pen.lineTo(px(mark), height - bottom); pen.stroke();
    for (const {values, colour} of lines) {
      const near = values.reduce((a, b) => Math.abs(b[0] - mark) < Math.abs(a[0] - mark) ? b : a, values[0]);
      if (!near) continue;
      pen.fillStyle = colour;
      pen.beginPath(); pen.arc(px(near[0]), py(near[1]), 4, 0, 7); pen.fill();
    }
  }
}

// Numbers as the page's language writes them, with so many digits behind the point; a share in percent.
const formats = new Map();
function written(number, options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(document.documentElement.lang || 'en', {signDisplay: 'negative', ...options}));
  return formats.get(key).format(number).replace('-', '−');
}
export const digits = (number, most = 0, least = 0) => Number.isFinite(number) ? written(number, {maximumFractionDigits: most, minimumFractionDigits: least}) : '–';
export const percent = share => written(share, {style: 'percent'});

export function short(number) {
  const size = Math.abs(number);
  if (size >= 1e6) return written(number, {notation: 'compact', maximumFractionDigits: 1});  // 3,6 Mio. in German
  if (size >= 1e4) return `${Math.round(number / 1e3)}k`;
  return digits(number, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

// A legend: a dot of the colour before each word.
export const legend = parts => el('p', {class: 'legend'}, ...parts.map(([kind, text]) => el('span', {class: kind}, text)));
