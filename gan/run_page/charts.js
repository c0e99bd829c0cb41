// A chart: one measure of some runs as curves, with a cursor that mouse, finger and arrow keys move.
const SVG = 'http://www.w3.org/2000/svg';
const WIDE = 1000, HIGH = 100;  // of a plot, in its own units
const MANY = 120;  // points from which on a curve is also drawn smoothed
const OUTLIERS = 0.005;  // share of many points at each end that may lie outside: a loss that ran away for a moment

export const make = (tag, values = {}, ...inside) => {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...inside);
  return made;
};

const draw = (tag, values) => {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
  return made;
};

// The last of sorted points [images, value] at or before the cursor, or else none.
export function at(points, images) {
  let low = 0, high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= images) low = middle + 1;
    else high = middle;
  }
  return points[low - 1];
}

// The mean of the points around each, a fiftieth of all.
function smooth(points) {
  const reach = Math.max(2, Math.round(points.length / 100)), sums = [0];
  for (const [, value] of points) sums.push(sums.at(-1) + value);
  return points.map(([images], n) => {
    const first = Math.max(0, n - reach), last = Math.min(points.length, n + reach + 1);
    return [images, (sums[last] - sums[first]) / (last - first)];
  });
}

function range(curves) {
  const values = curves.flatMap(curve => curve.points.map(point => point[1])).sort((a, b) => a - b);
  const cut = values.length > 200 ? Math.floor(OUTLIERS * values.length) : 0;
  const [low, high] = [values[cut], values.at(-1 - cut)];
  return low === high ? [low - Math.abs(low || 1) / 2, high + Math.abs(high || 1) / 2] : [low, high];
}

/*
  title, aside: what the chart is called, and a word on it.
  say: {number, count, covers, real}: how numbers, and numbers of covers, are said in the reader's language.
  move(images): the cursor was moved here.
*/
export class Chart {
  constructor(measure, title, aside, say, move) {
    Object.assign(this, {measure, say, move, curves: [], ends: [0, 1]});
    this.values = make('span');
    this.svg = draw('svg', {viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: 'none', 'aria-hidden': 'true'});
    this.high = make('i', {className: 'high'});
    this.low = make('i', {className: 'low'});
    this.plot = make('div', {className: 'plot', tabIndex: 0, role: 'slider'}, this.svg, this.high, this.low);
    this.plot.setAttribute('aria-label', title);
    this.from = make('span');
    this.to = make('span');
    const name = make('b', {}, title, make('small', {textContent: aside}));
    this.element = make('figure', {className: 'chart'}, make('figcaption', {}, name, this.values), this.plot,
      make('div', {className: 'ends'}, this.from, this.to));
    this.element.dataset.measure = measure;
    this.plot.addEventListener('pointermove', event => this.point(event));
    this.plot.addEventListener('pointerdown', event => this.point(event));
    this.plot.addEventListener('keydown', event => this.key(event));
  }

  // curves: [{run, colour, points, real}], real those of held-out covers; ends: covers shown at the plot's edges.
  show(curves, ends) {
    Object.assign(this, {curves, ends});
    const [low, high] = range(curves), [first, last] = ends;
    const x = images => (WIDE * (images - first) / (last - first || 1)).toFixed(1);
    const y = value => (HIGH - 4 - (HIGH - 8) * Math.min(1.04, Math.max(-0.04, (value - low) / (high - low)))).toFixed(1);
    this.svg.replaceChildren();
    for (const {colour, points, real} of curves) {
      const many = points.length > MANY;
      for (const [kind, shown] of many ? [['raw', points], ['', smooth(points)]] : [['', points]]) {
        const line = draw('polyline', {class: real ? 'real' : kind, points: shown.map(([images, value]) => `${x(images)},${y(value)}`).join(' ')});
        line.style.setProperty('--run', colour);
        this.svg.append(line);
      }
      if (points.length === 1) {  // has no length, and an ellipse would not stay round
        const dot = draw('line', {class: 'dot', x1: x(points[0][0]), x2: x(points[0][0]), y1: y(points[0][1]), y2: y(points[0][1])});
        Object.assign(dot.style, {stroke: colour, strokeWidth: '7px', strokeLinecap: 'round'});
        this.svg.append(dot);
      }
    }
    this.cursor = draw('line', {class: 'cursor', y1: 0, y2: HIGH});
    this.svg.append(this.cursor);
    this.high.textContent = this.say.number(high);
    this.low.textContent = this.say.number(low);
    this.from.textContent = this.say.count(first);
    this.to.textContent = this.say.count(last);
    this.plot.setAttribute('aria-valuemin', first);
    this.plot.setAttribute('aria-valuemax', last);
    this.places = [...new Set(curves.filter(curve => !curve.real).flatMap(curve => curve.points.map(point => point[0])))]
      .sort((a, b) => a - b);
  }

  look(images) {
    this.images = images;
    const [first, last] = this.ends, x = WIDE * (images - first) / (last - first || 1);
    this.cursor.setAttribute('x1', x);
    this.cursor.setAttribute('x2', x);
    const found = this.curves.map(curve => [curve, at(curve.points, images)]).filter(([, point]) => point);
    const real = found.filter(([curve]) => curve.real).map(([, point]) => this.say.number(point[1]));
    const once = real.length > 1 && real.every(text => text === real[0]);  // runs on the same covers
    this.values.replaceChildren(...found.filter(([curve]) => !(once && curve.real)).flatMap(([curve, point]) => {
      const text = this.say.number(point[1]), value = curve.real
        ? make('small', {textContent: `(${this.say.real} ${text})`}) : make('em', {textContent: text});
      value.style.setProperty('--run', curve.colour);
      return [value, ' '];
    }), ...(once ? [make('small', {textContent: `(${this.say.real} ${real[0]})`})] : []));
    this.plot.setAttribute('aria-valuenow', Math.round(images));
    const told = found.map(([curve, point]) => `${curve.run}${curve.real ? `, ${this.say.real}` : ''}: ${this.say.number(point[1])}`);
    this.plot.setAttribute('aria-valuetext', [this.say.covers(images), ...told].join('; '));
  }

  point(event) {
    if (event.pointerType === 'mouse' || event.buttons) {
      const box = this.plot.getBoundingClientRect(), [first, last] = this.ends;
      this.move(first + (last - first) * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
    }
  }

  // Arrows go from one measured place to the next, Page Up and Down ten, Home and End to the ends.
  key(event) {
    const steps = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10,
      Home: -Infinity, End: Infinity}[event.key];
    if (!steps || event.ctrlKey || event.metaKey || event.altKey || !this.places.length) return;
    event.preventDefault();
    let now = this.places.findLastIndex(place => place <= this.images);
    if (steps < 0 && now >= 0 && this.places[now] < this.images) now++;  // between two: back is to the one before
    this.move(this.places[Math.min(this.places.length - 1, Math.max(0, now + steps))]);
  }
}
