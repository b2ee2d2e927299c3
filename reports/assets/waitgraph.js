/* The wait-for graph of an instant as a picture, laid out by arithmetic: who waits for each other stands face to face or
   goes round as a loop of two columns; who waits for them stands further out, a column a step. Where that would be too
   wide, one card lies under the other and the waits run in a gutter beside them. A wait's words are in its card, so that
   no two labels can meet. Red is the knot once it has closed and nothing else; behind it is dashed grey. */
const NODES = 12; // drawn; the rest is told in words
const CARD = { height: 66, low: 48, least: 164, most: 270, gap: 52, below: 24 };
const ROWS = 5; // past which cards are low: without the line, which the list beside them has

/* The threads of the graph in groups that hang together, those of the knot first, then the larger: [[lane, …], …]. */
function connected(waits) {
  const root = new Map(), find = lane => { while (root.has(lane) && root.get(lane) !== lane) lane = root.get(lane); return lane; };
  for (const wait of waits) for (const { lane } of wait.to) {
    for (const one of [wait.lane, lane]) if (!root.has(one)) root.set(one, one);
    const [a, b] = [find(wait.lane), find(lane)];
    root.set(Math.max(a, b), Math.min(a, b));
  }
  const groups = new Map();
  for (const lane of [...root.keys()].sort((a, b) => a - b)) groups.set(find(lane), [...groups.get(find(lane)) ?? [], lane]);
  const rank = group => group.some(lane => MODEL.core.includes(lane)) ? 0 : 1;
  return [...groups.values()].sort((a, b) => rank(a) - rank(b) || b.length - a.length || a[0] - b[0]);
}

/* One loop of a group, in the order of its waits, or [] : the knot's where there is one. `out`: lane → lanes. */
function loopOf(group, out) {
  for (const from of [...group].sort((a, b) => MODEL.core.includes(b) - MODEL.core.includes(a) || a - b)) {
    const before = new Map([[from, null]]), queue = [from]; // the shortest way back to where it begins
    for (const lane of queue) for (const next of out.get(lane) ?? []) {
      if (next === from && lane !== from) { const loop = []; for (let l = lane; l !== null; l = before.get(l)) loop.unshift(l); return loop; }
      if (!before.has(next)) { before.set(next, lane); queue.push(next); }
    }
  }
  return [];
}

/* At most `most` threads of a group: its loop or those that all others wait for, then whoever is nearest to them. */
function nearest(group, out, most) {
  const loop = loopOf(group, out), heads = loop.length ? loop : group.filter(lane => ![...out.get(lane) ?? []].some(one => one !== lane));
  const kept = new Set((heads.length ? heads : group).slice(0, most));
  for (let grown = true; grown && kept.size < most;) {
    grown = false;
    for (const lane of group) if (!kept.has(lane) && kept.size < most && [...out.get(lane) ?? []].some(one => kept.has(one))) { kept.add(lane); grown = true; }
  }
  return group.filter(lane => kept.has(lane));
}

/* Cells of a group: lane → { column, row }, columns from 0. Who waits stands to the left of whom it waits for; outside a
   loop's right column, to the right. */
function gridOf(group, out) {
  const loop = loopOf(group, out), placed = new Map(), waiting = new Map(), inside = new Set(group);
  for (const lane of group) for (const to of out.get(lane) ?? []) if (inside.has(to) && to !== lane) waiting.set(to, [...waiting.get(to) ?? [], lane]);
  const seen = new Set(loop);
  let row = 0;
  const place = (lane, column, way) => { // everybody behind a lane first, each in rows of its own; the lane in their middle
    const behind = (waiting.get(lane) ?? []).filter(one => !seen.has(one));
    behind.forEach(one => seen.add(one));
    const rows = behind.map(one => place(one, column + way, way));
    const own = rows.length ? (rows[0] + rows.at(-1)) / 2 : row++;
    placed.set(lane, { column, row: own });
    return own;
  };
  const middle = lanes => lanes.reduce((sum, lane) => sum + placed.get(lane).row, 0) / lanes.length;
  if (loop.length) {
    const right = loop.slice(1, 1 + (loop.length >> 1)), left = [loop[0], ...loop.slice(1 + (loop.length >> 1)).reverse()];
    left.forEach(lane => place(lane, 0, -1));
    const ofLeft = new Set(placed.keys());
    row = 0;
    right.forEach(lane => place(lane, 1, 1));
    const shift = middle(left) - middle(right);
    for (const [lane, cell] of placed) if (!ofLeft.has(lane)) cell.row += shift;
  } else {
    const heads = group.filter(lane => ![...out.get(lane) ?? []].some(to => inside.has(to) && to !== lane));
    heads.forEach(lane => seen.add(lane));
    heads.forEach(lane => place(lane, 0, -1));
  }
  const first = Math.min(...[...placed.values()].map(cell => cell.column)), top = Math.min(...[...placed.values()].map(cell => cell.row));
  for (const cell of placed.values()) { cell.column -= first; cell.row -= top; }
  return { placed, loop };
}

/* Boxes in pixels: { boxes: lane → { x, y, w, h }, height, listed }, for a width. */
function boxesOf(groups, out, width) {
  const made = groups.map(group => gridOf(group, out)), columns = Math.max(...made.map(({ placed }) => Math.max(...[...placed.values()].map(cell => cell.column)) + 1));
  const w = Math.min(CARD.most, (width - 2 - (columns - 1) * CARD.gap) / columns), found = new Map();
  if (columns > 1 && w < CARD.least) return listBoxes(made, width);
  const high = Math.max(...made.map(({ placed }) => Math.max(...[...placed.values()].map(cell => cell.row)) + 1)) > ROWS ? CARD.low : CARD.height;
  let x = 1, y = 1, tallest = 0;
  const gap = columns > 1 ? Math.min(120, (width - 2 - columns * w) / (columns - 1)) : CARD.gap;
  for (const { placed } of made) { // side by side as far as there is room
    const all = [...placed.values()], across = Math.max(...all.map(cell => cell.column)) + 1, down = Math.max(...all.map(cell => cell.row)) + 1;
    if (x > 1 && x + across * w + (across - 1) * gap > width) { x = 1; y += tallest; tallest = 0; }
    for (const [lane, { column, row }] of placed) found.set(lane, { x: x + column * (w + gap), y: y + row * (high + CARD.below), w, h: high });
    x += across * (w + gap) + 24;
    tallest = Math.max(tallest, down * (high + CARD.below) + 8);
  }
  return { boxes: found, height: y + tallest - CARD.below, listed: false };
}
function listBoxes(made, width) {
  const found = new Map(), gutter = width > 500 ? 110 : 62, h = made.reduce((sum, { placed }) => sum + placed.size, 0) > ROWS ? CARD.low : CARD.height;
  let y = 1;
  for (const { placed, loop } of made) {
    const others = [...placed].filter(([lane]) => !loop.includes(lane)).sort(([, a], [, b]) => a.row - b.row || a.column - b.column).map(([lane]) => lane);
    for (const lane of [...loop, ...others]) { found.set(lane, { x: 1, y, w: Math.min(420, width - gutter), h }); y += h + 14; }
    y += 10;
  }
  return { boxes: found, height: y - 20, listed: true };
}

/* ---- drawing ------------------------------------------------------------------------------------------------------- */
const FONTS = { b: '620 13.5px sans', m: '12px mono', s: '12px sans' }; // as in moment.css
/* A thread's name where there is little room: rather without its process than without its middle. */
const briefly = (lane, room, font) => fitted(widthOf(who(lane), font) > room && LANES[lane].thread && who(lane).includes('/') ? who(lane).replace(/^.*?\//, '') : who(lane), room, font);
const svgText = (text, x, y, style, kind, anchor = 'start') => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" class="${style} ${kind}" text-anchor="${anchor}">${esc(text)}</text>`;

/* What a wait is called in a card: `waits for data on pipe A`. */
const waitSaid = (wait, called = channelName) => wait.reason === 'lock' && has(wait.channel) && channelName(wait.channel).startsWith('lock ') ? `waits for ${called(wait.channel)}` : `${MODEL.reasons[wait.reason]}${has(wait.channel) && wait.reason !== 'child' && wait.reason !== 'sleep' ? ` ${wait.reason === 'noroom' ? 'in' : 'on'} ${called(wait.channel)}` : ''}`;
/* 'knot', 'behind' or '': what a wait that never ends is in the knot that has closed. */
const partOf = (wait, t) => !wait?.open || !formedBy(t) ? '' : LANES[wait.lane].role === 'core' ? 'knot' : LANES[wait.lane].role === 'victim' ? 'behind' : '';

function waitCard(lane, wait, { x, y, w, h }, t, held) {
  const part = partOf(wait, t), reason = wait?.reason ?? (LANES[lane].traced ? 'run' : 'unseen'), spot = wait ? null : lastSeen(lane, t);
  const site = place(wait ? wait.site : spot?.site), left = x + 24, room = w - 34, holds = held.get(lane);
  const told = wait ? waitSaid(wait, shortName) : LANES[lane].traced ? 'runs' : 'not traced';
  const said = holds ? `holds ${n(holds)} B` : '', third = [site.length > 24 ? `…${site.slice(-22)}` : site, wait?.call].filter(Boolean).join(' · ');
  return `<g class="card ${part}" data-lane="${lane}"${wait && wait.row >= 0 ? ` data-wait="${wait.row}"` : ''}><title>${esc(`${who(lane)} ${told}${third ? `, ${third}` : ''}`)}</title>`
    + `<rect class="box" x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${w.toFixed(1)}" height="${h}" rx="8"/><rect x="${(x + 8).toFixed(1)}" y="${(y + 9).toFixed(1)}" width="8" height="${h - 18}" rx="2" fill="url(#p-${reason})" stroke="var(--${reason})" stroke-opacity=".6"/>`
    + svgText(briefly(lane, room - (said ? widthOf(said, FONTS.s) + 14 : 0), FONTS.b), left, y + 22, 'b', '') + (said ? svgText(said, x + w - 10, y + 22, 's', 'held', 'end') : '')
    + svgText(fitted(told, room, FONTS.s, 0), left, y + 40, 's', 'said') + (third && h === CARD.height ? svgText(fitted(third, room, FONTS.m, 0), left, y + 56, 'm', '') : '') + '</g>';
}

const arrowTip = (x, y, ux, uy) => `M${x.toFixed(1)} ${y.toFixed(1)}l${(-9 * ux - 4.5 * uy).toFixed(1)} ${(-9 * uy + 4.5 * ux).toFixed(1)}l${(9 * uy).toFixed(1)} ${(-9 * ux).toFixed(1)}z`;
/* The way of an edge between two boxes: [path, tip]. `slot` moves it aside, where several meet. */
function edgeWay(a, b, slot, both) {
  const f = v => v.toFixed(1), ay = a.y + a.h / 2, by = b.y + b.h / 2;
  if (a === b) return [`M${f(a.x + a.w)} ${f(ay - 26)}h12q6 0 6 6v4q0 6 -6 6h-5`, arrowTip(a.x + a.w, ay - 10, -1, 0)];
  if (Math.abs(a.x - b.x) < a.w / 2) { // one above the other
    const down = b.y > a.y, x = a.x + a.w / 2 + (both ? (down ? -12 : 12) : 0), y1 = down ? a.y + a.h : a.y, y2 = down ? b.y : b.y + b.h;
    if (Math.abs(y2 - y1) < 2 * CARD.below + b.h) return [`M${f(x)} ${f(y1)}V${f(y2 - (down ? 8 : -8))}`, arrowTip(x, y2, 0, down ? 1 : -1)];
    return [`M${f(a.x)} ${f(ay)}C${f(a.x - 34)} ${f(ay)} ${f(b.x - 34)} ${f(by)} ${f(b.x - 9)} ${f(by)}`, arrowTip(b.x, by, 1, 0)]; // past who stands between
  }
  const onward = b.x > a.x, side = both ? (onward ? -10 : 10) : 0, x1 = onward ? a.x + a.w : a.x, x2 = onward ? b.x : b.x + b.w, y1 = ay + side, y2 = by + side + slot, bend = (x2 - x1) / 2;
  return [`M${f(x1)} ${f(y1)}C${f(x1 + bend)} ${f(y1)} ${f(x2 - bend)} ${f(y2)} ${f(x2 - (onward ? 8 : -8))} ${f(y2)}`, arrowTip(x2, y2, onward ? 1 : -1, 0)];
}
/* The same in a list: out to a track in the gutter, along it, and back in. */
function edgeTrack(a, b, k, slot) {
  const f = v => v.toFixed(1), x = a.x + a.w + 16 + 9 * k, y1 = a.y + a.h / 2, y2 = b.y + b.h / 2 + (b.y > a.y ? -13 : 13) + slot / 3, down = y2 > y1 ? 1 : -1;
  return [`M${f(a.x + a.w)} ${f(y1)}H${f(x - 5)}q5 0 5 ${5 * down}V${f(y2 - 5 * down)}q0 ${5 * down} -5 ${5 * down}H${f(b.x + b.w + 8)}`, arrowTip(b.x + b.w, y2, -1, 0)];
}
/* The narrowest free track for each span, shortest first, so that short waits lie inside long ones. */
function tracks(edges, at, most) {
  const taken = [];
  for (const edge of [...edges].sort((p, q) => span(p) - span(q))) {
    const [from, to] = ends(edge);
    let k = 0;
    while (taken[k]?.some(([a, b]) => from < b && a < to)) k++;
    (taken[k] ??= []).push([from, to]);
    edge.track = Math.min(k, most); // what has no track of its own shares the outermost
  }
  function ends(edge) { const ys = [at.get(edge.from).y, at.get(edge.to).y]; return [Math.min(...ys), Math.max(...ys)]; }
  function span(edge) { const [a, b] = ends(edge); return b - a; }
}

/* The picture for a width: { svg, drawn: lanes, hidden: those of the graph that are only told }. `held`: lane → bytes
   that lie in its own buffer and that somebody waits for. */
function waitGraph(waits, t, width, held) {
  const out = new Map(waits.map(wait => [wait.lane, new Set(wait.to.map(one => one.lane))])), of = new Map(waits.map(wait => [wait.lane, wait]));
  let room = NODES;
  const groups = [], hidden = [];
  for (const group of connected(waits)) {
    const kept = room > 1 ? nearest(group, out, room) : [];
    if (kept.length) groups.push(kept);
    hidden.push(...group.filter(lane => !kept.includes(lane)));
    room -= kept.length;
  }
  if (!groups.length) return { svg: '', drawn: [], hidden };
  const { boxes: at, height, listed } = boxesOf(groups, out, width), drawn = groups.flat();
  const edges = waits.flatMap(wait => wait.to.map(one => ({ from: wait.lane, to: one.lane, channel: one.channel, why: one.why, part: partOf(wait, t) }))).filter(edge => at.has(edge.from) && at.has(edge.to));
  if (listed) tracks(edges.filter(edge => edge.from !== edge.to), at, width > 500 ? 9 : 4);
  const into = new Map();
  for (const edge of edges) if (edge.from !== edge.to) into.set(edge.to, [...into.get(edge.to) ?? [], edge]);
  for (const some of into.values()) { // several arrows into one card lie side by side, in the order of where they come from
    some.sort((p, q) => at.get(p.from).y - at.get(q.from).y);
    some.forEach((edge, k) => { edge.slot = (k - (some.length - 1) / 2) * Math.min(9, 34 / some.length); });
  }
  const lines = edges.map(edge => {
    const a = at.get(edge.from), b = at.get(edge.to), both = out.get(edge.to)?.has(edge.from);
    const [path, arrowhead] = edge.from === edge.to ? edgeWay(a, a, 0) : listed ? edgeTrack(a, b, edge.track, edge.slot) : edgeWay(a, b, both ? 0 : edge.slot, both);
    return `<g class="edge ${edge.part}" data-from="${edge.from}" data-to="${edge.to}"><title>${esc(`${who(edge.from)} waits for ${who(edge.to)}${edge.why ? `: ${edge.why}` : ''}`)}</title><path class="line" d="${path}"/><path class="tip" d="${arrowhead}"/></g>`;
  });
  const right = Math.max(...[...at.values()].map(box => box.x + box.w)) + (listed ? 110 : 26), w = Math.min(width, right);
  return { svg: `<svg class="waits" width="${w.toFixed(0)}" height="${(height + 2).toFixed(0)}" viewBox="0 0 ${w.toFixed(0)} ${(height + 2).toFixed(0)}" aria-hidden="true">${lines.join('')}${drawn.map(lane => waitCard(lane, of.get(lane), at.get(lane), t, held)).join('')}</svg>`, drawn, hidden };
}
