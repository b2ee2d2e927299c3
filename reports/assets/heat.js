/* Above the budget: each lane's pixels in the colour of the reason that held most of it, as opaque as the share of the
   pixel that was blocked; and between the lanes a ribbon, darker where more messages passed. Painted on a canvas that
   lies under plotly's paths: there is no room for a hatch here, so the tooltip and the tables name the reason. */
const colours = {};
function resolve() { // what the style sheet's variables are in this theme, as [r, g, b]
  const probe = document.body.appendChild(document.createElement('i'));
  for (const reason of [...REASONS, 'ink3']) {
    probe.style.color = `var(--${reason})`;
    colours[reason] = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).map(Number);
  }
  probe.remove();
}

function heat(seen) {
  const canvas = $('heat'), width = plotWidth(), height = G.height + TOP;
  const ratio = Math.min(2, devicePixelRatio || 1, Math.max(0.25, 16000 / height)); // a canvas can be no taller than that
  const columns = Math.max(1, Math.round(width * ratio));
  canvas.width = columns; canvas.height = Math.round(height * ratio);
  canvas.style.cssText = `width:${width}px;height:${height}px`;
  const paint = canvas.getContext('2d');
  if (!seen.exact) ribbon(paint, columns, ratio);
  const painted = G.rows.filter(row => row.folded || !seen.exactBars);
  if (!painted.length) return;
  resolve();
  for (const { lanes, bar, barH } of painted) {
    const row = shares(lanes.map(lane => seen.waits[lane]), columns);
    stretch(paint, row, columns, (bar + TOP) * ratio, barH * ratio);
  }
}
/* One row of pixels drawn as high as wanted: a rectangle a pixel would be thousands. */
function stretch(paint, rgba, columns, top, height) {
  const strip = new OffscreenCanvas(columns, 1);
  strip.getContext('2d').putImageData(new ImageData(rgba, columns, 1), 0, 0);
  paint.imageSmoothingEnabled = false;
  paint.drawImage(strip, 0, 0, columns, 1, 0, top, columns, height);
}

/* A row's pixels as RGBA: the dominant reason of its lanes (running counts as one), its share as opacity. */
function shares(waits, columns) {
  const kinds = REASONS.length, sums = new Float64Array(columns * kinds), pixel = (view[1] - view[0]) / columns;
  const add = (a, b, reason) => {
    a = Math.max(a, view[0]) - view[0]; b = Math.min(b, view[1]) - view[0];
    if (b <= a) return;
    const p = Math.min(columns - 1, (a / pixel) | 0), q = Math.min(columns - 1, (b / pixel) | 0);
    if (p === q) { sums[p * kinds + reason] += b - a; return; }
    sums[p * kinds + reason] += (p + 1) * pixel - a;
    for (let k = p + 1; k < q; k++) sums[k * kinds + reason] += pixel;
    sums[q * kinds + reason] += b - q * pixel;
  };
  for (const [lane, from, to] of waits) {
    const { begin, end, row } = laneWaits[lane], idle = REASONS.indexOf(LANES[lane].traced ? 'run' : 'unseen');
    let since = from ? end[from - 1] : born(lane);
    for (let k = from; k < to; k++) {
      add(since, begin[k], idle); add(begin[k], end[k], W.reason[row[k]]);
      since = end[k];
    }
    add(since, to < begin.length ? begin[to] : gone(lane), idle);
  }
  const rgba = new Uint8ClampedArray(columns * 4);
  for (let p = 0; p < columns; p++) {
    let most = 0, which = -1, all = 0;
    for (let r = 0; r < kinds; r++) { const v = sums[p * kinds + r]; all += v; if (v > most) { most = v; which = r; } }
    if (which < 0) continue;
    const [r, g, b] = colours[REASONS[which]], share = most / Math.max(all, 0.5 * pixel);
    rgba.set([r, g, b, 255 * (REASONS[which] === 'sleep' ? 0.28 : 0.25 + 0.6 * share)], p * 4);
  }
  return rgba;
}

/* How many messages passed between two lanes, a pixel: a line from bar to bar, darker for more. */
function ribbon(paint, columns, ratio) {
  resolve();
  const pixel = (view[1] - view[0]) / columns, counts = new Map();
  eachMessage(view[0], view[1], i => {
    const f = G.lanes[M.writer[i]]?.row, t = G.lanes[M.reader[i]]?.row, p = ((M.read[i] - view[0]) / pixel) | 0;
    if (!has(f) || !has(t) || f === t || p < 0 || p >= columns) return;
    const key = f * G.rows.length + t, row = counts.get(key) ?? counts.set(key, new Uint32Array(columns)).get(key);
    row[p]++;
  });
  const [r, g, b] = colours.ink3;
  for (const [key, row] of counts) {
    const f = G.rows[Math.floor(key / G.rows.length)], t = G.rows[key % G.rows.length], [upper, lower] = f.y < t.y ? [f, t] : [t, f];
    const most = row.reduce((a, v) => Math.max(a, v), 1), top = (upper.bar + upper.barH + 4 + TOP) * ratio, bottom = (lower.bar - 2 + TOP) * ratio;
    const rgba = new Uint8ClampedArray(columns * 4);
    for (let p = 0; p < columns; p++) if (row[p]) rgba.set([r, g, b, 255 * (0.03 + 0.09 * Math.sqrt(row[p] / most))], p * 4);
    if (bottom > top) stretch(paint, rgba, columns, top, bottom - top);
  }
}
