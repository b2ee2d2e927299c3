/* What is in view, as geometry: lanes and strips in pixels, times in ns, and one path a category for plotly.
   Level of detail: up to BARS bars in view are exact; above, heat.js paints the dominant reason of each pixel. Up to
   ARROWS messages are arrows; above, the SLOWEST are, over a ribbon of how many there were. What belongs to the knot,
   and bytes held back, is exact at every zoom. */
const BARS = 2500, ARROWS = 2500, MANY = 300, SLOWEST = 200, SUBPIXEL = 1.5;
const TOP = 26; // px above the first lane: the axis

let view = [0, END], G; // the window in ns; the lanes' and strips' places
let wide = 0; // asked for once a drawing: the browser would lay out the page each time
const plotWidth = () => wide ||= $('wrap').clientWidth;
const perPixel = () => (view[1] - view[0]) / plotWidth();
const X = t => (t - view[0]) / perPixel();
const unX = px => view[0] + px * perPixel();

function geometry() { // top to bottom, in pixels: { rows, lanes (the row of each), strips, height, tight }
  const small = narrow(), rows = rowsShown(), many = rows.length;
  const tight = folding || many > 24, [laneH, barH] = tight ? [small ? 36 : 22, 12] : small ? [46, 16] : [38, 16];
  const lanes = [], strips = {};
  let y = 4;
  rows.forEach((row, place) => {
    const before = rows[place - 1], apart = before && (folding ? !row.inner : LANES[before.lanes[0]].process !== LANES[row.lanes[0]].process);
    if (apart) y += folding ? 4 : 12;
    const slim = row.inner && many > 2 * FOLD, [h, bar] = slim ? [10, 8] : [laneH, barH];
    Object.assign(row, { row: place, y, h, slim, bar: y + (small && !slim ? 22 : Math.max(1, (h - bar) >> 1)), barH: bar });
    y += h;
    for (const lane of row.lanes) if (!(row.folded && row.open)) lanes[lane] = row;
  });
  if (MODEL.strips.length) y += 34;
  for (const c of MODEL.strips) { strips[c] = { y: y + (small ? 18 : 4), h: 28 }; y += small ? 54 : 40; }
  return { rows, lanes, strips, height: y + 2, tight };
}

/* ---- what is in view ------------------------------------------------------------------------------------------------ */
/* { waits: [[lane, from, to]] as ranges of laneWaits, bars: how many, messages: rows drawn as arrows, count: in view,
     held: [[lane, from, to]] merged where they touch on the screen, ribbon: counts for heat.js or null } */
function inView() {
  const [x0, x1] = view, waits = [];
  let bars = 0;
  LANES.forEach((_, lane) => {
    const { begin, end } = laneWaits[lane], from = seek(end, x0), to = seek(begin, x1, true);
    waits.push([lane, from, Math.max(from, to)]);
    if (!G.lanes[lane].folded) bars += 2 * Math.max(0, to - from);
  });
  const held = LANES.map(() => []), gap = perPixel(), drawn = [], latency = slowest();
  let seen = 0;
  const underline = (lane, a, b) => {
    const last = held[lane].at(-1);
    if (last && a <= last[1] + gap && a >= last[0]) last[1] = Math.max(last[1], b); else held[lane].push([a, b]);
  };
  eachMessage(x0, x1, i => {
    seen++;
    if (drawn.length <= ARROWS) drawn.push(i);
    latency.add(M.transit[i], i);
    if (M.held[i] > 0 && has(M.writer[i])) underline(M.writer[i], M.begin[i], M.written[i]);
  });
  const exact = seen <= ARROWS;
  return { merged: new Map(), waits, bars, seen, held, exact, messages: exact ? thinned(drawn) : latency.rows(), exactBars: bars <= BARS };
}
/* Of many arrows those, the slowest first, that do not make a wall: at most DENSE in any cell 8 px wide and a row high. */
const FEW = 100, DENSE = 2;
function thinned(rows) {
  if (rows.length <= FEW) return rows;
  const columns = (plotWidth() >> 3) + 1, cells = new Uint8Array(columns * G.rows.length), kept = [], column = t => Math.min(columns - 1, Math.max(0, X(t) >> 3));
  for (const i of [...rows].sort((a, b) => M.transit[b] - M.transit[a] || a - b)) {
    const f = G.lanes[M.writer[i]]?.row, t = G.lanes[M.reader[i]]?.row;
    if (!has(f) || !has(t) || f === t) { kept.push(i); continue; } // no arrow
    const a = column(M.written[i]), b = column(M.read[i]), steps = Math.max(Math.abs(t - f), b - a), way = [];
    for (let s = 0; s <= steps; s++) way.push(Math.round(f + (t - f) * s / steps) * columns + Math.round(a + (b - a) * s / steps));
    if (way.reduce((sum, cell) => sum + cells[cell], 0) >= DENSE * way.length) continue;
    for (const cell of way) cells[cell] = Math.min(255, cells[cell] + 1);
    kept.push(i);
  }
  return kept.sort((a, b) => a - b);
}
/* The rows of the SLOWEST largest latencies seen, without sorting all: a histogram of logarithms finds the threshold. A
   bucket that fills up is thinned evenly, and equals are taken evenly, so that the arrows do not all lie at the left. */
function slowest() {
  const buckets = [], room = 20 * SLOWEST;
  return {
    add(latency, row) {
      const bucket = buckets[latency > 0 ? Math.min(399, (Math.log2(latency) * 8) | 0) : 0] ??= { rows: [], stride: 1, seen: 0 };
      if (bucket.seen++ % bucket.stride) return;
      bucket.rows.push(row);
      if (bucket.rows.length > room) { bucket.rows = bucket.rows.filter((_, k) => k % 2 === 0); bucket.stride *= 2; }
    },
    rows() {
      const found = [];
      for (let k = 399; k >= 0 && found.length < SLOWEST; k--) if (buckets[k]) found.push(...buckets[k].rows);
      found.sort((a, b) => M.transit[b] - M.transit[a] || a - b);
      if (found.length <= SLOWEST) return found;
      const least = M.transit[found[SLOWEST - 1]], above = found.filter(i => M.transit[i] > least), equal = found.filter(i => M.transit[i] === least);
      const wanted = SLOWEST - above.length;
      return [...above, ...Array.from({ length: wanted }, (_, k) => equal[Math.floor(k * equal.length / wanted)])];
    },
  };
}

/* How many messages one read got: those of the channel that have this one's moment of reading. */
function mergedWith(i) {
  if (!M.merged[i] || !has(M.read[i])) return 1;
  const { rows, begin } = traffic[M.channel[i]], same = k => k >= 0 && k < rows.length && M.read[rows[k]] === M.read[i];
  let from = seek(begin, M.begin[i]), to;
  while (rows[from] !== i) from++;
  for (to = from; same(to + 1);) to++;
  for (; same(from - 1);) from--;
  return to - from + 1;
}

/* ---- paths ------------------------------------------------------------------------------------------------------------ */
/* What lies far outside the view is cut off a screen away: the browser's drawing has no more than 24 bits of a coordinate,
   and a second is a billion pixels where a nanosecond is one. */
const inside = t => Math.min(Math.max(t, 2 * view[0] - view[1]), 2 * view[1] - view[0]);
const rect = (a, b, y, h) => block(inside(a), inside(b), y, h);
function segment(x0, y0, x1, y1) {
  const a = inside(x0), b = inside(x1), slope = x1 === x0 ? 0 : (y1 - y0) / (x1 - x0);
  return `M${a},${(y0 + (a - x0) * slope).toFixed(2)}L${b},${(x1 === x0 ? y1 : y0 + (b - x0) * slope).toFixed(2)}`;
}
const block = (a, b, y, h) => `M${a},${y}L${b},${y}L${b},${y + h}L${a},${y + h}Z`;
const LAYERS = ['wash', ...REASONS, 'held', 'kernel', 'user', 'reader', 'forks', 'signals', 'signalheads', 'arrows', 'heads', 'merged', 'unread', 'stub', 'hot', 'hothead'];
const PAINT = {
  wash: 'stroke:none;fill:color-mix(in srgb,var(--danger) 8%,transparent)', held: 'stroke:none;fill:var(--liquid2)',
  kernel: 'stroke:none;fill:color-mix(in srgb,var(--accent) 45%,transparent)', user: 'stroke:none;fill:var(--liquid)',
  reader: 'stroke:var(--liquid2);stroke-width:1px;fill:url(#p-reader)',
  signals: 'stroke:var(--signal);stroke-width:1.25px;stroke-dasharray:6 3', signalheads: 'stroke:none;fill:var(--signal)', merged: 'stroke:var(--ink2);stroke-width:1.5px;fill:none',
  forks: 'stroke:var(--ink3);stroke-width:1px;stroke-dasharray:2 3;stroke-opacity:var(--fork,1)', arrows: 'stroke:var(--ink2);stroke-width:var(--arrow,1px)',
  heads: 'stroke:none;fill:var(--ink2)', unread: 'stroke:var(--ink2);stroke-width:1px', stub: 'stroke:var(--danger);stroke-width:2px',
  hot: 'stroke:var(--accent);stroke-width:2.25px', hothead: 'stroke:none;fill:var(--accent)',
};
const reasonPaint = r => `fill:url(#p-${r});stroke:var(--${r});stroke-opacity:${r === 'sleep' ? 0.65 : 0.35};stroke-width:1px`;
document.head.append(Object.assign(document.createElement('style'), {
  textContent: LAYERS.map((layer, i) => {
    const rules = (PAINT[layer] || reasonPaint(layer)).split(';').map(rule => `${rule} !important`).join(';');
    return `#plot .shapelayer path[data-index="${i}"]{${rules};fill-opacity:1 !important}`;
  }).join('\n'),
}));

/* From the writer's bar to the reader's, 2 px clear of both; null where one end is unknown or both are the same. */
const arrow = i => has(M.read[i]) ? arrowBetween(M.writer[i], M.written[i], M.reader[i], M.read[i]) : null;
function arrowBetween(from, t0, to, t1) {
  const f = G.lanes[from], t = G.lanes[to];
  if (!f || !t || f.row === t.row) return null;
  const down = t.y > f.y;
  return [t0, down ? f.bar + f.barH + 4 : f.bar - 2, t1, down ? t.bar - 2 : t.bar + t.barH + 4];
}
/* All arrows of a message: one, or where several reads got pieces of it one to each of them. */
function arrowsOf(i) {
  const one = arrow(i);
  if (!one || M.reads[i] < 2 || typeof piecesOf === 'undefined') return one ? [one] : [];
  const calls = [...new Set(piecesOf(i).map(piece => piece.read))].filter(call => call >= 0 && has(C.length[call]));
  const fan = calls.map(call => arrowBetween(M.writer[i], M.written[i], C.lane[call], C.begin[call] + C.length[call])).filter(Boolean);
  return fan.length > 1 ? fan : [one];
}
function arrowPath([x0, y0, x1, y1], kx) { // [line, head], the head sized in pixels
  const dx = (x1 - x0) / kx, dy = y1 - y0, length = Math.hypot(dx, dy) || 1, ux = dx / length, uy = dy / length;
  if (inside(x1) !== x1) return [segment(x0, y0, x1, y1), ''];
  const corner = side => `L${x1 + (-8 * ux + side * 3 * uy) * kx},${(y1 - 8 * uy - side * 3 * ux).toFixed(2)}`;
  return [segment(x0, y0, x1 - 6 * ux * kx, y1 - 6 * uy), `M${x1},${y1}${corner(-1)}${corner(1)}Z`];
}

function paths(seen) { // layer → path text
  const P = Object.fromEntries(LAYERS.map(layer => [layer, []])), kx = perPixel(), [x0, x1] = view, margin = x1 - x0;
  const clip = (a, b) => [Math.max(a, x0 - margin), Math.min(Math.max(b, a + SUBPIXEL * kx), x1 + margin)];
  const bar = (layer, lane, a, b) => { const [p, q] = clip(a, b); if (q > p) P[layer].push(rect(p, q, G.lanes[lane].bar, G.lanes[lane].barH)); };
  if (has(MODEL.formed)) for (const lane of MODEL.core) P.wash.push(rect(MODEL.formed, END, G.lanes[lane].y + 2, G.lanes[lane].h - 4));
  for (const [lane, from, to] of seen.waits) {
    const { begin, end, row } = laneWaits[lane], idle = LANES[lane].traced ? 'run' : 'unseen';
    if (seen.exactBars && !G.lanes[lane].folded) {
      let since = from ? end[from - 1] : born(lane);
      for (let k = from; k < to; k++) {
        if (begin[k] > since) bar(idle, lane, since, begin[k]);
        bar(REASONS[W.reason[row[k]]], lane, begin[k], W.open[row[k]] ? Math.max(end[k], gone(lane)) : end[k]);
        since = end[k];
      }
      if (!(to && W.open[row[to - 1]]) && gone(lane) > since && since < x1) bar(idle, lane, since, to < begin.length ? begin[to] : gone(lane));
    } else if (MODEL.core.includes(lane)) { // the knot's own waits, over the heat map
      for (let k = Math.max(from, to - 2); k < to; k++) if (W.open[row[k]]) bar(REASONS[W.reason[row[k]]], lane, begin[k], end[k]);
    }
  }
  seen.held.forEach((spans, lane) => { const l = G.lanes[lane]; for (const [a, b] of spans) P.held.push(rect(a, Math.max(b, a + 2 * kx), l.bar + l.barH + 1, 3)); });
  for (const i of seen.messages) {
    const all = arrowsOf(i), ends = all[0];
    if (!ends) continue;
    for (const one of all) { const [line, tip] = arrowPath(one, kx); P.arrows.push(line); P.heads.push(tip); }
    const writes = M.merged[i] && seen.exact ? mergedWith(i) : 1, place = `${M.channel[i]} ${M.read[i]}`;
    if (writes < 2 || seen.merged.has(place) || inside(ends[2]) !== ends[2]) continue;
    seen.merged.set(place, [i, writes]); // one read: one bracket over all arrows that end in it
    const y = ends[3] + (ends[3] > ends[1] ? 1 : -1), side = ends[3] > ends[1] ? -4 : 4;
    P.merged.push(`M${ends[2] - 7 * kx},${y + side}L${ends[2] - 7 * kx},${y}L${ends[2] + 7 * kx},${y}L${ends[2] + 7 * kx},${y + side}`);
  }
  if (has(picked)) for (const one of arrowsOf(picked)) { const [line, tip] = arrowPath(one, kx); P.hot.push(line); P.hothead.push(tip); }
  lost(P, kx);
  markLines(P, kx);
  for (const c of MODEL.strips) for (const [layer, a, b, y, h] of stripRects(c)) P[layer].push(rect(a, b, y, h));
  return P;
}

/* Messages that nobody read: one that never left gets a stub with a bar and an endless underline (the bug itself), one
   that lies in the channel a plain stub. Of many, one a pixel. */
function lost(P, kx) {
  const drawn = new Set(), spans = new Map();
  for (const i of never) {
    const l = G.lanes[M.writer[i]], t = has(M.written[i]) ? M.written[i] : M.begin[i];
    if (!l || M.begin[i] > view[1]) continue;
    const y = l.bar + l.barH + 4, key = `${M.writer[i]} ${Math.round(X(t))} ${has(M.written[i])}`, inside = t >= view[0];
    if (M.leaving[i]) continue; // in no buffer: its bar says that it waits for room
    if (!has(M.written[i])) spans.set(M.writer[i], Math.min(spans.get(M.writer[i]) ?? END, M.begin[i]));
    else if (M.held[i] > 0 && M.written[i] > view[0]) P.held.push(rect(M.begin[i], Math.max(M.written[i], M.begin[i] + 2 * kx), y - 3, 3));
    if (!inside || drawn.has(key)) continue;
    drawn.add(key);
    if (has(M.written[i])) P.unread.push(`M${t},${y}L${t},${y + 6}`);
    else P.stub.push(`M${t},${y}L${t},${y + 9}M${t - 5 * kx},${y + 9}L${t + 5 * kx},${y + 9}`);
  }
  for (const [lane, since] of spans) { const l = G.lanes[lane]; P.held.push(rect(since, END, l.bar + l.barH + 1, 3)); }
}

/* ---- strips: bytes in the kernel, on them those in the writer's buffer, on those what the reader has not been given --- */
/* Steps of the fill in [t0, t1] as (from, to, kernel, user, reader), passed to `use`: one merge of the four flows.
   Written flat: at a million messages this is the page's hottest loop. */
function eachStep(channel, t0, t1, use) {
  const flow = flows[channel], a = flow.in.times, b = flow.out.times, c = flow.taken.times, d = flow.given.times;
  let i = seek(a, t0, true), j = seek(b, t0, true), k = seek(c, t0, true), l = seek(d, t0, true), t = t0;
  for (;;) {
    let next = t1;
    if (i < a.length && a[i] < next) next = a[i];
    if (j < b.length && b[j] < next) next = b[j];
    if (k < c.length && c[k] < next) next = c[k];
    if (l < d.length && d[l] < next) next = d[l];
    if (next > t) {
      const left = j ? flow.out.sums[j - 1] : 0, taken = k ? flow.taken.sums[k - 1] : 0, kernel = left - taken;
      const user = (i ? flow.in.sums[i - 1] : 0) - Math.max(left, taken), // what is read has left, whenever its write returned
        reader = taken - (l ? flow.given.sums[l - 1] : 0);
      use(t, next, kernel > 0 ? kernel : 0, user > 0 ? user : 0, reader > 0 ? reader : 0);
    }
    t = next;
    if (t >= t1) return;
    while (i < a.length && a[i] <= t) i++;
    while (j < b.length && b[j] <= t) j++;
    while (k < c.length && c[k] <= t) k++;
    while (l < d.length && d[l] <= t) l++;
  }
}
const scales = {}; // channel → { most, scale, full }
function scaleOf(channel) {
  if (scales[channel]) return scales[channel];
  const { in: sent, given } = flows[channel]; // the most that was on its way: just after something was given
  let most = 0;
  for (let i = 0, k = 0; i < sent.times.length; i++) {
    while (k < given.times.length && given.times[k] <= sent.times[i]) k++;
    most = Math.max(most, sent.sums[i] - (k ? given.sums[k - 1] : 0));
  }
  const capacity = CHANNELS[channel].capacity, full = capacity && most > 0.95 * capacity;
  return scales[channel] = { most, scale: full ? Math.max(capacity, most) : most || 1, full };
}
/* A channel in which nothing was ever seen to lie has no strip, unless the knot waits on it: its row would be empty. */
let unfilled = 0;
function dropUnfilled() {
  const kept = MODEL.strips.filter(c => scaleOf(c).most || GRAPH.waiters.some(one => one.channel === c && MODEL.core.includes(one.lane)));
  unfilled = MODEL.strips.length - kept.length;
  MODEL.strips = kept;
}
/* Rectangles of a strip; steps narrower than a pixel are one rectangle of their highest fill. */
function stripRects(channel) {
  const { scale } = scaleOf(channel), s = G.strips[channel], kx = perPixel(), base = s.y + s.h, made = [];
  const last = {}; // layer → its rectangle before, which grows where the next is as high
  const add = (layer, a, b, y, h) => {
    const before = last[layer];
    if (before && before[3] === y && before[4] === h && a - before[2] < kx) before[2] = b;
    else made.push(last[layer] = [layer, a, b, y, h]);
  };
  const put = (a, b, kernel, user, reader) => {
    const to = Math.max(b, a + SUBPIXEL * kx);
    let y = base;
    for (const [layer, size] of [['kernel', kernel], ['user', user], ['reader', reader]]) if (size) {
      const h = +(size / scale * s.h).toFixed(2);
      add(layer, a, to, +(y -= h).toFixed(2), h);
    }
  };
  let from = null, to, kernel, user, reader; // the narrow steps gathered so far
  const flush = () => { if (from !== null) put(from, to, kernel, user, reader); from = null; };
  eachStep(channel, Math.max(0, view[0]), Math.min(END, view[1]), (a, b, k, u, r) => {
    if (b - a >= 2 * kx) { flush(); put(a, b, k, u, r); return; }
    if (from === null) { from = a; kernel = user = reader = 0; }
    to = b;
    if (k + u + r > kernel + user + reader) { kernel = k; user = u; reader = r; }
    if (to - from >= 2 * kx) flush();
  });
  flush();
  return made;
}
