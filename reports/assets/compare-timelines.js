/* The timelines: one picture, one axis, a block of lanes a run; ties join what both hand over, and what parts them is
   marked. Drawn as SVG, one path a reason; above BARS bars in view each pixel shows the reason that took most of it. */
const BARS = 3000, ARROWS = 400, TIES = 60, TOP = 24, SUBPIXEL = 1.5;
let view = [0, 1], G;

const width = () => $('wrap').clientWidth || 1;
const gutter = () => narrow() ? 0 : 150;
const perPixel = () => (view[1] - view[0]) / Math.max(1, width() - gutter() - 8);
const X = t => gutter() + (t - view[0]) / perPixel();
const unX = px => view[0] + (px - gutter()) * perPixel();

function geometry() { // { blocks: [{ setting, y, lanes: [{ y, bar, barH }], end }], height }
  const list = shown(), many = list.reduce((sum, k) => sum + SETTINGS[k].lanes.length, 0), small = narrow(), tight = many > 16;
  const [laneH, barH] = small ? [tight ? 30 : 38, tight ? 9 : 14] : tight ? [20, 10] : [32, 14];
  const gap = !everything && marks().length ? 76 : tight ? 14 : 28;
  let y = TOP;
  const blocks = list.map(setting => {
    const block = { setting, y, lanes: [] };
    y += 24;
    for (const _ of SETTINGS[setting].lanes) {
      block.lanes.push({ y, h: laneH, bar: y + (small ? laneH - barH - 3 : (laneH - barH) >> 1), barH });
      y += laneH;
    }
    if (SETTINGS[setting].more) { block.more = y + 11; y += 18; }
    block.end = y;
    y += gap;
    return block;
  });
  return { blocks, height: y - gap + 6, tight };
}
const marks = () => pairOf(chosen)?.marks ?? [];
const clip = px => Math.min(Math.max(px, gutter() - 4000), width() + 4000);
const rect = (a, b, y, h) => `M${clip(a).toFixed(1)} ${y}H${clip(Math.max(b, a + SUBPIXEL)).toFixed(1)}V${y + h}H${clip(a).toFixed(1)}Z`;

/* What a lane does in view, as [reason, from, to] in pixels: exact, or the dominant reason of each pixel. */
function spans(k, lane, exact) {
  const { begin, end, reason, open } = runs[k].lanes[lane], by = shift(k), made = [];
  const idle = SETTINGS[k].lanes[lane].traced ? 'run' : 'unseen', last = gone(k, lane);
  const from = seek(end, view[0] - by), to = seek(begin, view[1] - by, true);
  let since = from ? end[from - 1] : born(k, lane);
  const add = (what, a, b) => { if (b > a) made.push([what, X(a + by), X(b + by)]); };
  for (let i = from; i < to; i++) {
    add(idle, since, begin[i]);
    since = open[i] ? Math.max(end[i], last) : end[i];
    add(reason[i], begin[i], since);
  }
  if (to === begin.length || begin[to] + by > view[1]) add(idle, since, to < begin.length ? begin[to] : last);
  return exact ? made : coarse(made);
}
function coarse(made) {
  const pixels = [];
  let pixel = -1e9, sums = {};
  const close = () => {
    const [what] = Object.entries(sums).sort((a, b) => b[1] - a[1])[0] ?? [];
    if (!what) return;
    const before = pixels.at(-1);
    if (before && before[0] === what && pixel <= before[2] + 0.5) before[2] = pixel + 1; else pixels.push([what, pixel, pixel + 1]);
  };
  for (const [what, a, b] of made) {
    if (b - a > 3) { close(); sums = {}; pixel = -1e9; pixels.push([what, a, b]); continue; }
    if (Math.floor(a) !== pixel) { close(); sums = {}; pixel = Math.floor(a); }
    sums[what] = (sums[what] ?? 0) + b - a;
  }
  close();
  return pixels;
}

const text = (x, y, words, style = '', anchor = 'start') => `<text x="${x.toFixed(1)}" y="${y}" class="${style}" text-anchor="${anchor}">${esc(words)}</text>`;
const tick = (t, digits, unit) => `${(t / unit[0]).toFixed(digits)} ${unit[1]}`;
function axis(height) {
  const span = view[1] - view[0], wanted = span / (narrow() ? 4 : 8), p = 10 ** Math.floor(Math.log10(wanted));
  const step = Math.max(1, [1, 2, 5, 10].find(k => k * p >= wanted) * p), unit = [[1e9, 's'], [1e6, 'ms'], [1e3, 'µs'], [1, 'ns']].find(([size]) => step >= size / 50) ?? [1, 'ns'];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / unit[0]) - 1e-9)), out = [];
  for (let k = Math.ceil(view[0] / step); k * step <= view[1]; k++) {
    const x = X(k * step);
    out.push(`<path class="grid" d="M${x.toFixed(1)} ${TOP - 4}V${height}"/>`);
    if (x < width() - 24) out.push(text(Math.max(x, gutter() + 12), 13, tick(k * step, digits, unit), 'tick', 'middle'));
  }
  return out.join('');
}

function arrowsOf(block) { // [lines, heads, held]
  const k = block.setting, m = runs[k].messages, by = shift(k), lines = [], heads = [], held = [], seen = [];
  for (let i = 0; i < (m.begin?.length ?? 0); i++) {
    const from = block.lanes[m.writer[i]], left = has(m.written[i]) ? m.written[i] : SETTINGS[k].end;
    if (!from) continue;
    if (left - m.begin[i] > 2 * perPixel() || !has(m.written[i])) {
      if (left + by > view[0] && m.begin[i] + by < view[1]) held.push(rect(X(m.begin[i] + by), X(left + by), from.bar + from.barH + 1, 3));
    }
    const to = has(m.reader[i]) && block.lanes[m.reader[i]];
    if (to && to !== from && has(m.read[i]) && has(m.written[i]) && m.read[i] + by > view[0] && m.written[i] + by < view[1]) seen.push(i);
  }
  const drawn = seen.length > ARROWS ? [...seen].sort((a, b) => (m.read[b] - m.written[b]) - (m.read[a] - m.written[a])).slice(0, ARROWS) : seen;
  for (const i of drawn) {
    const from = block.lanes[m.writer[i]], to = block.lanes[m.reader[i]], down = to.y > from.y;
    const x0 = clip(X(m.written[i] + by)), y0 = down ? from.bar + from.barH + 4 : from.bar - 2, x1 = clip(X(m.read[i] + by)), y1 = down ? to.bar - 2 : to.bar + to.barH + 4;
    const length = Math.hypot(x1 - x0, y1 - y0) || 1, u = (x1 - x0) / length, v = (y1 - y0) / length;
    lines.push(`M${x0.toFixed(1)} ${y0}L${(x1 - 5 * u).toFixed(1)} ${(y1 - 5 * v).toFixed(1)}`);
    heads.push(`M${x1.toFixed(1)} ${y1.toFixed(1)}l${(-7 * u - 2.6 * v).toFixed(1)} ${(-7 * v + 2.6 * u).toFixed(1)}l${(5.2 * v).toFixed(1)} ${(-5.2 * u).toFixed(1)}z`);
  }
  return { lines: lines.join(''), heads: heads.join(''), held: held.join(''), seen: seen.length, drawn: drawn.length };
}

function ending(block) {
  const setting = SETTINGS[block.setting], hangs = has(setting.formed) && setting.verdict !== 'completed';
  return hangs ? [`${setting.verdict} since ${at(setting.formed, 3)}`, 'danger'] : [`${setting.verdict}, ${setting.duration}`, setting.verdict === 'completed' ? 'okay' : 'held'];
}

function between() { // ties and marks from the upper block to the lower
  if (everything || G.blocks.length !== 2) return '';
  const [upper, lower] = G.blocks, pair = pairOf(chosen), out = [];
  if (!pair) return '';
  const curve = (a, x0, b, x1, style) => {
    const from = upper.lanes[a], to = lower.lanes[b], y0 = from.bar + from.barH + 3, y1 = to.bar - 3, x = clip(x0), x_ = clip(x1);
    return `<path class="tie ${style}" d="M${x.toFixed(1)} ${y0}C${x.toFixed(1)} ${y0 + (y1 - y0) * 0.5} ${x_.toFixed(1)} ${y1 - (y1 - y0) * 0.5} ${x_.toFixed(1)} ${y1}"/>`;
  };
  const place = (setting, t) => X(t + shift(setting)), seen = x => x > gutter() && x < width();
  const ties = pair.ties.filter(([a, t, b, t_]) => upper.lanes[a] && lower.lanes[b] && (seen(place(pair.first, t)) || seen(place(pair.second, t_))));
  const every = Math.ceil(ties.length / TIES) || 1;
  ties.forEach(([a, t, b, t_], i) => { if (i % every === 0) out.push(curve(a, place(pair.first, t), b, place(pair.second, t_), '')); });
  const told = [];
  for (const mark of pair.marks) {
    const x = has(mark.a.time) ? place(pair.first, mark.a.time) : NaN, x_ = has(mark.b.time) ? place(pair.second, mark.b.time) : NaN;
    if (!seen(x) && !seen(x_)) continue;
    if (has(mark.a.lane) && has(mark.b.lane) && upper.lanes[mark.a.lane] && lower.lanes[mark.b.lane]) out.push(curve(mark.a.lane, x, mark.b.lane, x_, 'hot'));
    for (const [block, side, px] of [[upper, mark.a, x], [lower, mark.b, x_]]) {
      const lane = block.lanes[side.lane];
      if (lane && seen(px)) out.push(`<circle class="dot" cx="${px.toFixed(1)}" cy="${lane.bar + lane.barH / 2}" r="5"/>`);
    }
    const words = `${mark.first ? 'They part here' : 'This decides'}: ${mark.who}, ${mark.place}`, lines = [words, ...(narrow() ? [] : [`${SETTINGS[pair.first].letter}: ${mark.a.words}. ${SETTINGS[pair.second].letter}: ${mark.b.words}.`])];
    told.push([seen(x) ? x : x_, lines]);
  }
  told.slice(0, 2).forEach(([x, lines], row) => {
    const y = upper.end + 16 + row * 34, wide = i => i ? 6.3 : 7.4, room = Math.max(...lines.map((line, i) => line.length * wide(i))), left = Math.max(gutter(), Math.min(x + 10, width() - room - 8));
    const fit = (line, i) => { const most = Math.floor((width() - left - 4) / wide(i)); return line.length > most ? `${line.slice(0, Math.max(8, most - 1))}…` : line; };
    out.push(`<rect class="plate" x="${left - 4}" y="${y - 12}" width="${Math.min(room, width() - left) + 8}" height="${lines.length * 16}"/>`);
    lines.forEach((line, i) => out.push(text(left, y + i * 16, fit(line, i), i ? '' : 'held')));
  });
  return out.join('');
}

function draw() {
  G = geometry();
  const P = Object.fromEntries([...MODEL.tokens, 'unseen'].map(reason => [reason, []])), out = [axis(G.height)], said = [];
  let bars = 0;
  for (const block of G.blocks) block.lanes.forEach((_, lane) => {
    const { begin, end } = runs[block.setting].lanes[lane], by = shift(block.setting);
    bars += 2 * Math.max(0, seek(begin, view[1] - by, true) - seek(end, view[0] - by));
  });
  const exact = bars <= BARS;
  for (const block of G.blocks) {
    const { setting, lanes } = block, end = ending(block), name = `${SETTINGS[setting].letter} · ${SETTINGS[setting].label}`;
    lanes.forEach((lane, row) => {
      for (const [reason, a, b] of spans(setting, row, exact)) P[reason].push(rect(a, b, lane.bar, lane.barH));
    });
    block.arrows = arrowsOf(block);
    out.push(`<text x="0" y="${block.y + 15}"><tspan class="name">${esc(name)}</tspan><tspan dx="12" class="end ${end[1]}">${esc(end[0])}</tspan></text>`);
    if (block.arrows.drawn < block.arrows.seen) said.push(`${SETTINGS[setting].letter}: slowest ${n(block.arrows.drawn)} of ${n(block.arrows.seen)} messages drawn.`);
  }
  for (const [reason, parts] of Object.entries(P)) if (parts.length) out.push(`<path d="${parts.join('')}" style="fill:url(#p-${reason});stroke:var(--${reason});stroke-opacity:${reason === 'sleep' ? 0.65 : 0.35}"/>`);
  for (const block of G.blocks) {
    out.push(`<path class="stays" d="${block.arrows.held}"/><path class="arrow" d="${block.arrows.lines}"/><path class="tips" d="${block.arrows.heads}"/>`);
    const formed = SETTINGS[block.setting].formed, x = has(formed) ? X(formed + shift(block.setting)) : NaN;
    if (x > gutter() && x < width() && block.lanes.length) out.push(`<path class="onset" d="M${x.toFixed(1)} ${block.lanes[0].y}V${block.lanes.at(-1).y + block.lanes.at(-1).h}"/>`);
  }
  out.push(between());
  if (gutter()) out.push(`<rect x="0" y="${TOP}" width="${gutter() - 2}" height="0" fill="none"/>`);
  for (const block of G.blocks) {
    block.lanes.forEach((lane, row) => {
      const who = SETTINGS[block.setting].lanes[row].who, short = who.length > 20 ? `${who.slice(0, 9)}…${who.slice(-9)}` : who;
      out.push(narrow() ? text(2, lane.bar - 4, short) : `${text(gutter() - 10, lane.bar + lane.barH / 2 + 4, short, '', 'end')}`);
    });
    if (block.more) out.push(text(gutter(), block.more, `and ${count(SETTINGS[block.setting].more, 'more thread')}`));
  }
  if (!exact) said.push(`${n(bars >> 1)} waits in view: each pixel shows the reason that took most of it.`);
  $('sides').setAttribute('height', G.height);
  $('sides').setAttribute('viewBox', `0 0 ${width()} ${G.height}`);
  $('sides').innerHTML = `<defs><clipPath id="inner"><rect x="0" y="0" width="${width()}" height="${G.height}"/></clipPath><clipPath id="lanes"><rect x="${gutter() - 1}" y="0" width="${width() - gutter() + 1}" height="${G.height}"/></clipPath></defs>${clipped(out)}`;
  if (!pairOf(chosen) && !everything && chosen[0] !== chosen[1]) said.push('Of so many settings only those with the first are compared; these two are drawn.');
  $('form').textContent = said.join(' ');
  legend(P);
  window.ipctrace.drawn = { bars, exact, view: [...view] };
}
/* What is drawn of time is cut at the gutter; the names aren't. */
const clipped = out => out.map(part => part.startsWith('<path') || part.startsWith('<circle') ? `<g clip-path="url(#lanes)">${part}</g>` : part).join('');

const swatch = r => `<svg width="26" height="14" aria-hidden="true"><rect x=".5" y=".5" width="25" height="13" rx="2" fill="url(#p-${r})" stroke="var(--${r})" stroke-opacity="${r === 'sleep' ? 0.7 : 0.5}"/></svg>`;
function legend(P) {
  const parts = Object.keys(P).filter(reason => P[reason].length).map(reason => `${swatch(reason)}${MODEL.reasons[reason]}`);
  if (G.blocks.some(block => block.arrows.held)) parts.push('<svg width="26" height="14" aria-hidden="true"><rect y="8" width="26" height="3" fill="var(--liquid2)"/></svg>bytes held in the writer’s buffer');
  if (G.blocks.some(block => block.arrows.lines)) parts.push('<svg width="26" height="14" aria-hidden="true"><path d="M1 2L20 10" stroke="var(--ink2)"/><path d="M25 12l-7 0l2-5z" fill="var(--ink2)"/></svg>message, written → read');
  if (!everything && pairOf(chosen)?.ties.length) parts.push('<svg width="26" height="14" aria-hidden="true"><path d="M8 0C8 8 18 6 18 14" fill="none" stroke="var(--line2)" stroke-width="1.5"/></svg>the same message in both');
  $('legend').innerHTML = parts.map(part => `<span>${part}</span>`).join('');
}
