/* The ground under the other files: the escape function, how numbers and times are written, and the packed data.
   All files of this folder share one scope; nothing here touches the page but through `$`. */
'use strict';
const $ = id => document.getElementById(id);
const narrow = () => innerWidth <= 900;
const MODEL = JSON.parse($('model').textContent);
for (const name of MODEL.long) MODEL[name] = []; // filled by `longLists`, before anything asks

/* Everything that a program wrote goes through one of these two. As in markup.py: control characters become pictures,
   what reorders or hides text becomes its code point. */
const picture = c => {
  const code = c.codePointAt(0);
  return code === 10 ? '⏎' : code === 127 ? '␡' : code < 32 ? String.fromCharCode(0x2400 + code) : `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`;
};
const visible = s => String(s).replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|\udb40[\udc00-\udc7f]/g, picture);
const esc = s => visible(s).replace(/[&<>"'`]/g, c => `&#${c.charCodeAt(0)};`);

/* How wide a text is, in pixels, and the text without its middle where it has less room: names differ in their ends.
   `style` is a font as CSS writes it, with the page's own families: '620 13.5px sans'. */
const ruler = document.createElement('canvas').getContext('2d'), fonts = {};
function widthOf(text, style) {
  ruler.font = fonts[style] ??= style.replace(/(sans|mono)$/, family => getComputedStyle(document.documentElement).getPropertyValue(`--${family}`));
  return ruler.measureText(visible(text)).width;
}
function fitted(text, room, style, ending = 0.5) { // `ending`: which share of what is left is its end
  if (widthOf(text, style) <= room) return text;
  const letters = [...text]; // no surrogate is torn from its other
  let least = 1, most = letters.length - 1;
  const cut = size => { const end = Math.floor(size * ending); return `${letters.slice(0, size - end).join('')}…${end ? letters.slice(-end).join('') : ''}`; };
  while (least < most) { const size = (least + most + 1) >> 1; if (widthOf(cut(size), style) <= room) least = size; else most = size - 1; }
  return cut(least);
}

const n = x => x.toLocaleString('en-US');
const count = (x, noun) => `${n(x)} ${noun}${x === 1 ? '' : 's'}`;
/* A time since the start. Zoomed in past 0.1 ms, four digits would say the same for neighbours: then more are shown. */
const at = (ns, digits = 4) => `${(ns / 1e9).toFixed(digits)} s`;
const dur = ns => ns < 1e3 ? `${Math.round(ns)} ns` : ns < 1e6 ? `${Math.round(ns / 1e3)} µs` : ns < 1e9 ? `${(ns / 1e6).toFixed(ns < 1e7 ? 1 : 0)} ms` : `${(ns / 1e9).toFixed(2)} s`;
const has = x => x === x && x !== null && x !== undefined; // neither NaN nor null

/* What changed is told to whoever has asked: 'time' (the cursor), 'view' (the window, and what is drawn), 'message' (the
   one that is open), 'table' (which rows are listed), 'mark' (the row that is marked); 'wait' and 'channel' with the row or
   number that was chosen on the timeline. So a file draws its own part and knows of no other. */
const listeners = { time: [], view: [], message: [], table: [], mark: [], wait: [], channel: [] };
const heed = (what, act) => listeners[what].push(act);
const tell = (what, ...said) => listeners[what].forEach(act => act(...said));

/* ---- packed data (columns.py): base64 → gunzip → byte planes → typed array --------------------------------- */
const TYPES = { u1: Uint8Array, u2: Uint16Array, i2: Int16Array, u4: Uint32Array, i4: Int32Array, f8: Float64Array };
async function column(name) {
  const element = $(`column-${name}`), { type, rows, base, missing } = element.dataset;
  const planes = await gunzip(element), size = +rows, width = TYPES[type].BYTES_PER_ELEMENT, raw = new Uint8Array(planes.length);
  for (let k = 0; k < width; k++) for (let i = 0, from = k * size, to = k; i < size; i++, to += width) raw[to] = planes[from + i];
  const values = new TYPES[type](raw.buffer);
  if (missing !== undefined) {
    const made = new Float64Array(size);
    for (let i = 0; i < size; i++) made[i] = values[i] ? values[i] - 1 : NaN;
    return made;
  }
  if (base === undefined) return values;
  const times = new Float64Array(size);
  for (let i = 0, sum = +base; i < size; i++) times[i] = sum += values[i];
  return times;
}
/* Lists of the model that were too long for JSON in the page (model/part.py): by columns in a blob, here rows again. */
async function longLists() {
  await Promise.all(MODEL.long.map(async name => {
    const columns = JSON.parse(new TextDecoder().decode(await gunzip($(`blob-list-${name}`)))), keys = Object.keys(columns);
    columns[keys[0]].forEach((_, i) => MODEL[name].push(Object.fromEntries(keys.map(key => [key, columns[key][i]]))));
  }));
}
/* All columns of a table: { size: Uint32Array, … }. */
async function load(table) {
  const prefix = `column-${table}.`, names = [...document.querySelectorAll(`[id^="${prefix}"]`)].map(e => e.id.slice(prefix.length));
  return Object.fromEntries(await Promise.all(names.map(async name => [name, await column(`${table}.${name}`)])));
}
/* The first index whose value is not below v (or, with `after`, is above it), in [from, to). */
function seek(values, v, after = false, from = 0, to = values.length) {
  while (from < to) { const mid = (from + to) >> 1; if (after ? values[mid] <= v : values[mid] < v) from = mid + 1; else to = mid; }
  return from;
}
