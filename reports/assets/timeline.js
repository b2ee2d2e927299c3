/* The timeline: one plotly figure (x in ns, y in pixels), HTML labels over it, the cursor, and moving about. */
let now = has(MODEL.formed) ? (MODEL.formed + MODEL.cut) / 2 : END, resting = now, figure, drawing = Promise.resolve(), busy = false;

const swatch = r => `<svg width="26" height="14" aria-hidden="true"><rect x=".5" y=".5" width="25" height="13" rx="2" fill="url(#p-${r})" stroke="var(--${r})" stroke-opacity="${r === 'sleep' ? 0.7 : 0.5}"/></svg>`;

/* Digits that tell neighbouring moments apart at this zoom. */
const digits = () => Math.min(9, Math.max(4, Math.ceil(-Math.log10((view[1] - view[0]) / 1e9 / 1000))));

/* Round steps; the unit follows the zoom. Where the time since the start would be a long number, the ticks count from a
   round moment before the view, which is said at the left. */
function ticks() {
  const wanted = (view[1] - view[0]) / (narrow() ? 4 : 8), p = 10 ** Math.floor(Math.log10(wanted)), step = Math.max(1, [1, 2, 5, 10].find(k => k * p >= wanted) * p);
  const [unit, name] = [[1e9, 's'], [1e6, 'ms'], [1e3, 'µs'], [1, 'ns']].find(([size]) => step >= size / 50) ?? [1, 'ns'];
  const decimals = Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9)), long = view[1] / unit >= 1e5, base = long ? Math.floor(view[0] / (step * 100)) * step * 100 : 0;
  const places = [];
  for (let k = Math.ceil((view[0] - base) / step); base + k * step <= view[1]; k++) places.push(k * step);
  const said = long ? `${at(base, Math.max(0, Math.min(9, 7 - Math.floor(Math.log10(step)))))} +` : '';
  return { base: said, tickvals: places.map(t => base + t), ticktext: places.map(t => X(base + t) > plotWidth() - 20 ? '' : `${long ? '+' : ''}${(t / unit).toFixed(decimals)} ${name}`) };
}

const layout = (shapes, { tickvals, ticktext }) => ({
  width: plotWidth(), height: G.height + TOP, margin: { l: 0, r: 0, t: TOP, b: 0 }, dragmode: 'zoom', showlegend: false, hovermode: false,
  paper_bgcolor: 'transparent', plot_bgcolor: 'transparent', shapes,
  xaxis: { range: [...view], side: 'top', zeroline: false, showgrid: true, tickangle: 0, tickvals, ticktext },
  yaxis: { range: [G.height, 0], visible: false, fixedrange: true },
});

/* Draws what is in view. One drawing at a time; a second wish while one is under way is drawn after it, once. */
let wished = false;
function draw() {
  if (wished) return drawing;
  wished = true;
  return drawing = drawing.then(async () => {
    wished = false;
    const began = performance.now();
    wide = 0;
    G = geometry();
    const seen = inView(), P = paths(seen), axis = ticks();
    seen.marks = marksInView();
    document.documentElement.style.setProperty('--arrow', seen.messages.length > MANY ? '0.75px' : '1px');
    document.documentElement.style.setProperty('--fork', G.rows.length > 24 ? '0.45' : '1'); // many cross many lanes
    const shapes = LAYERS.map(layer => ({ type: 'path', path: P[layer].join('') || `M${view[0]},-9Z`, line: { width: 1 }, fillcolor: 'transparent', layer: 'above' }));
    busy = true;
    figure = await Plotly.react('plot', [{ x: [0], y: [0], mode: 'none', type: 'scatter' }], layout(shapes, axis), { displayModeBar: false, showSendToCloud: false, doubleClick: false, responsive: false, displaylogo: false });
    busy = false;
    shownArrows = seen.messages; shownMarks = seen.marks.rows;
    $('base').textContent = axis.base;
    heat(seen);
    labels(seen);
    cursor();
    form(seen);
    tell('view');
    window.ipctrace.drawn = { wide, ms: performance.now() - began, messages: seen.seen, arrows: seen.messages.length, bars: seen.bars, exact: seen.exact && seen.exactBars };
  });
}

/* Which form is shown, and how much is in view: said beside the figure. */
function form(seen) {
  const parts = [];
  if (!M.begin.length && !W.begin.length) parts.push('No bytes passed from one to another, and no thread waited.');
  if (!seen.exactBars) parts.push(`${n(seen.bars >> 1)} waits in view: each pixel shows the reason that took most of it. Zoom in for the waits themselves.`);
  if (!seen.exact) parts.push(`Slowest ${n(seen.messages.length)} of ${n(seen.seen)} messages drawn.`);
  else if (seen.messages.length < seen.seen) parts.push(`${n(seen.messages.length)} of ${n(seen.seen)} messages drawn, the slowest first: the rest would lie on them.`);
  else if (seen.messages.length > MANY) parts.push(`${n(seen.seen)} messages in view.`);
  if (seen.marks.rows.length < seen.marks.seen) parts.push(`${n(seen.marks.rows.length)} of ${count(seen.marks.seen, 'mark')} drawn: the rest would lie on them.`);
  if (unfilled) parts.push(`${count(unfilled, 'more channel')} never held anything that was seen.`);
  const folded = G.rows.filter(row => row.folded && !row.open);
  if (folded.length) parts.push(`${n(folded.reduce((sum, row) => sum + row.lanes.length, 0))} of ${n(LANES.length)} threads share ${folded.length === 1 ? 'a row' : `${n(folded.length)} rows`}: open one with ▸ at the left.`);
  $('form').textContent = parts.join(' ');
}

const ORDINARY = new Set(['fork', 'exec', 'start', 'task', 'exit', 'out']); // too many to mark in a row of many threads

/* ---- labels: HTML over the figure, so that text stays crisp, selectable and themed ------------------------------------ */
function labels(seen) {
  const width = plotWidth(), out = [], small = narrow(), { tight } = G;
  const put = (style, x, y, html, css = '', title = '') => out.push(`<div class="${style}" style="left:${x}px;top:${y + TOP}px;${css}"${title && ` title="${title}"`}>${html}</div>`);
  if (seen.exactBars && !tight) for (const [lane, from, to] of seen.waits) {
    for (let k = from; k < to; k++) {
      const { begin, end, row } = laneWaits[lane], l = Math.max(X(begin[k]), 0), r = Math.min(X(end[k]), width);
      const text = waitWords(row[k]);
      if (r - l > text.length * 6.3 + 22) put('bt', l + 6, G.lanes[lane].bar + 1, esc(text));
    }
  }
  for (const k of seen.marks.rows) {
    const kind = MARKS[K.kind[k]], row = G.lanes[K.lane[k]];
    if (!row.slim && !(row.folded && ORDINARY.has(kind))) put(`mk ${kind}`, Math.min(X(K.time[k]), width - 6), tight ? row.bar + (kind === 'out' ? 7 : 0) : row.bar + (kind === 'out' ? 14 : -15), GLYPHS[kind]);
  }
  for (const [i, writes] of seen.merged.values()) {
    const ends = arrow(i), x = X(ends[2]), below = ends[3] > ends[1];
    if (x > 0 && x < width - 90 && !tight) put('mg', x + 9, ends[3] + (below ? -16 : 0), `${writes} writes, one read`);
  }
  const formed = has(MODEL.formed) && MODEL.core.length ? X(MODEL.formed) : NaN;
  if (formed > -1 && formed < width) {
    const tops = MODEL.core.map(l => G.lanes[l].y), last = G.lanes[MODEL.core.reduce((a, b) => G.lanes[a].y > G.lanes[b].y ? a : b)];
    put('kn', formed, Math.min(...tops), '', `border-left:1.5px solid var(--danger);height:${last.y + last.h - Math.min(...tops)}px`);
    const word = MODEL.verdict === 'deadlock' ? 'deadlock' : 'stands still';
    put(formed > width - 170 ? 'kn left' : 'kn', formed, last.y + last.h - 3, `${word} since ${at(MODEL.formed)}`);
  }
  for (const c of MODEL.strips) {
    const s = G.strips[c], writing = leavingAt(c, END), stuck = writing || MODEL.stuck.filter(one => one.channel === c).reduce((a, one) => a + one.size, 0);
    put('base', 0, s.y + s.h, '');
    if (scaleOf(c).full) put('capacity', 0, s.y + s.h - CHANNELS[c].capacity / scaleOf(c).scale * s.h, '');
    if (stuck) {
      const since = Math.max(X(Math.min(...never.filter(i => M.channel[i] === c && !has(M.written[i])).map(i => M.begin[i]))), 0);
      const said = `${count(stuck, 'byte')}, ${writing ? 'the write never returned' : 'never flushed'}`;
      if (since < width - 6.4 * said.length - 16 && stuck / scaleOf(c).scale > 0.5) put('st', since + 8, s.y + (writing ? 0 : 6), said);
    }
  }
  $('overlay').innerHTML = out.join('');
  gutter(small, tight);
}
/* What a wait is called: `no data: input()`, `time.sleep(0.3)`. */
function waitWords(row) {
  const reason = REASONS[W.reason[row]], call = MODEL.labels[W.label[row]] ?? '';
  const short = { nodata: 'no data', noroom: 'no room', lock: 'lock', ready: 'nothing ready', notice: 'not told', signal: 'no signal', child: '', peer: 'no other end', sleep: '' }[reason];
  return short ? `${short}: ${call}` : call;
}
/* Who writes and who reads, in so much room: several are counted, and what is too long loses its middle. */
const LABEL = '12.5px sans';
function wayOf(from, to, room) {
  if (widthOf(`${from} → ${to}`, LABEL) <= room) return `${from} → ${to}`;
  const told = [from, to].map(names => { const all = names.split(', '); return all.length > 1 ? `${n(all.length)} threads` : names; });
  room -= widthOf(' → ', LABEL);
  const [a, b] = told.map(words => widthOf(words, LABEL));
  return `${fitted(told[0], Math.max(room / 2, room - b), LABEL)} → ${fitted(told[1], Math.max(room / 2, room - a), LABEL)}`;
}
/* The column of names is as wide as they need, within bounds. */
const GUTTER = [172, 220];
function fitGutter() {
  const names = rowsShown().flatMap(row => { const t = LANES[row.lanes[0]]; return row.folded ? [`▸ ${row.name} ${sizeOf(row)}`] : folding ? [`m${t.who}`] : [`mm${t.thread}`, `${t.program} ${t.pid}`]; });
  const widest = Math.max(...names.map(name => widthOf(name, '600 12.5px sans')), 0);
  $('tl').style.setProperty('--gutter', `${Math.round(Math.min(GUTTER[1], Math.max(GUTTER[0], widest + 14)))}px`);
}
function gutter(small, tight) {
  const rows = G.rows.map((row, place) => {
    const t = LANES[row.lanes[0]], before = G.rows[place - 1], first = !before || row.inner || LANES[before.lanes[0]].process !== t.process;
    const box = (html, title) => `<div style="top:${row.y + TOP + (small ? 3 : 0)}px;height:${row.h}px" title="${title}">${html}</div>`;
    if (row.folded) return box(`<button data-group="${row.group}" aria-expanded="${row.open}"><i>${row.open ? '▾' : '▸'}</i><b>${esc(row.name)}</b><span class="s">${sizeOf(row)}</span></button>`, esc(`${row.name}: ${sizeOf(row)}`));
    if (row.slim) return ''; // no room: the tooltip has the name
    const name = `<span class="p">${esc(t.program)} <span class="pid">${t.pid}</span></span>`, thread = `<span class="${t.role === 'core' ? 'k' : 's'}${t.task ? ' task' : ''}">${esc(t.thread)}</span>`;
    if (folding) return box(row.inner ? `<span class="inner">${esc(t.who)}</span>` : `<span class="${t.role === 'core' ? 'k' : 'p'}">${esc(t.who)}</span>`, esc(t.who));
    return box(tight ? (first ? name : thread) : (first || small ? name : '') + thread, esc(t.who));
  });
  const strips = MODEL.strips.map(c => {
    const s = G.strips[c], { most } = scaleOf(c), ch = CHANNELS[c];
    const full = ch.capacity && most >= ch.capacity, unit = ch.items ? count(ch.capacity || most, 'item').replace(/^.* /, ' ') : ' B', of = ch.capacity && !full ? ` of ${n(ch.capacity)}${unit}` : unit, top = full ? `full: ${n(ch.capacity)}${unit}` : `top: ${n(most)}${of}`;
    const room = (small ? plotWidth() - 30 : $('gl').clientWidth - 12) - widthOf(`${shortName(c)} `, '620 12.5px sans'), said = widthOf(top, LABEL) < room ? top : top.replace(/ of .*/, unit);
    const [from, to] = [ch.unseen.w ?? (ch.writers || 'nobody'), ch.unseen.r ?? (ch.readers || 'nobody')];
    return `<div style="top:${s.y + TOP - (small ? 18 : 4)}px;height:36px" title="${esc(`${ch.name}, ${top}: ${fewOf(from)} → ${fewOf(to)}`)}"><span><b>${esc(shortName(c))}</b> <span class="s">${said}</span></span><span class="s">${esc(wayOf(from, to, small ? room - widthOf(said, LABEL) - 20 : $('gl').clientWidth - 14))}</span></div>`;
  });
  $('gl').innerHTML = rows.join('') + strips.join('');
}

const fillWords = (c, size) => CHANNELS[c].items ? `${count(size, 'item')} in it` : `${n(size)} B in the channel`;

const BRIEFLY = { peer: 'waits for the other end', child: 'waits for an end', ready: 'waits for several ends' }; // there is little room beside the lanes

/* ---- the cursor, and the state of everything at it ---------------------------------------------------------------------- */
function cursor() {
  const x = X(now);
  $('cursor').style.cssText = `left:${x}px;display:${x < -1 || x > plotWidth() + 1 ? 'none' : 'block'}`;
  $('clock').textContent = at(now, digits());
  const tight = LANES.length > 24, states = LANES.length > 80 ? [] : LANES.map((t, i) => {
    const s = stateAt(i, now), l = G.lanes[i];
    if (l.folded) return '';
    const dead = t.role === 'core' && has(MODEL.formed) && now >= MODEL.formed;
    const ever = dead && MODEL.verdict === 'deadlock' ? 'for ever; so far ' : 'for ';
    const html = s ? `<span style="color:var(--${dead ? 'danger' : s.reason})">${BRIEFLY[s.reason] ?? MODEL.reasons[s.reason]}</span>${tight ? '' : `<span class="s">${ever}${dur(now - s.since)}</span>`}`
      : `<span class="s">${now < born(i) ? 'not started' : 'ended'}</span>`;
    return `<div style="top:${l.y + TOP}px;height:${l.h}px">${html}</div>`;
  });
  const fills = MODEL.strips.map(c => {
    const { kernel, user, reader } = fillAt(c, now), s = G.strips[c];
    return `<div style="top:${s.y + TOP - 4}px;height:36px"><span>${fillWords(c, kernel)}</span><span style="color:var(--${user ? 'amber' : 'ink3'})">${CHANNELS[c].items || (reader && !user) ? '' : leavingAt(c, now) ? `a write of ${n(leavingAt(c, now))} B` : `${n(user)} B in the writer’s buffer`}</span>${reader ? `<span style="color:var(--amber)">${n(reader)} B in the reader’s buffer</span>` : ''}</div>`;
  });
  $('gr').innerHTML = states.join('') + fills.join('');
  const steps = [...document.querySelectorAll('#story li')], on = steps.findLastIndex(li => +li.dataset.t <= now + 1);
  steps.forEach((li, i) => { li.className = i === on ? 'on' : i < on ? 'past' : ''; });
  tell('time');
}
function go(t) { // set the time; move the window only if it lies outside
  now = Math.min(END, Math.max(0, t));
  const half = (view[1] - view[0]) / 2;
  if (now < view[0] || now > view[1]) zoomTo(now - half, now + half); else cursor();
}
/* Play goes from step to step of the story; without one from event to event, of many only so many that what is in view
   passes in about a minute. Never by wall time: gaps would be waited out. */
let timer = null;
const STOPS = 120;
function stopAfter(t, stops) {
  if (stops.length) return stops.find(stop => stop > t + 1);
  const next = neighbour(Math.max(t, t + (view[1] - view[0]) / STOPS - 1), 1);
  return t < END ? next : undefined;
}
function play() {
  if (timer) { clearInterval(timer); timer = null; } else {
    const stops = [...document.querySelectorAll('#story li')].map(li => +li.dataset.t);
    if (now >= END || now === resting || stopAfter(now, stops) === undefined) go(stops[0] ?? 0);
    timer = setInterval(() => { const t = stopAfter(now, stops); if (t !== undefined) go(t); if (stopAfter(now, stops) === undefined) play(); }, stops.length ? 1100 : 500);
  }
  $('play').textContent = timer ? '❚❚' : '▶';
  $('play').setAttribute('aria-label', timer ? 'Pause' : 'Play');
}
const ACTIONS = {
  play, prev: () => go(neighbour(now, -1)), next: () => go(neighbour(now, 1)), back: () => go(alongMessage(now, -1)), along: () => go(alongMessage(now, 1)), zin: () => zoom(0.4), zout: () => zoom(2.5),
  fit: () => zoomTo(0, END), moment: () => has(MODEL.formed) && zoomTo(MODEL.formed - 1.2e6, MODEL.formed + 0.8e6),
};
