/* Questions about an instant t: who waits for whom, what lies in which channel, where each thread is. Answers only;
   waitgraph.js and moment.js draw them. A lane costs a binary search, a channel one in its traffic and a look at what is
   under way in it. */
let SEEN; // what /proc showed of the lanes that aren't traced: { begin, end, open, reason, lane, channel }, by begin
const GRAPH = MODEL.graph ?? { waiters: [], edges: [] };
const formedBy = t => has(MODEL.formed) && t >= MODEL.formed;

/* ---- who waits for whom ------------------------------------------------------------------------------------------ */
/* The wait that a lane is in at t: { lane, row (of W; -1: seen from outside), reason, channel, since, site, call, open,
   to: [{ lane, channel, why }] }, or null. Whom it is for: who ended it later; of one that never ended, whom the
   wait-for graph says. */
function waitOf(lane, t) {
  if (t < born(lane) || t > gone(lane)) return null;
  const row = waitAt(lane, t);
  if (row < 0) return LANES[lane].traced ? null : seenWait(lane, t);
  const known = W.open[row] ? toldBy(lane) : [];
  const to = known.length ? known : has(W.by[row]) ? [{ lane: W.by[row], channel: has(W.channel[row]) ? W.channel[row] : null, why: '' }] : [];
  return { lane, row, reason: REASONS[W.reason[row]], channel: has(W.channel[row]) ? W.channel[row] : null, since: W.begin[row],
    site: W.site[row], call: MODEL.labels[W.label[row]] ?? '', open: W.open[row] === 1, to };
}
/* Whom the wait-for graph says that a lane waits for. */
const toldBy = lane => GRAPH.edges.filter(edge => edge.from === lane).map(edge => ({ lane: edge.to, channel: edge.channel, why: edge.why }));
/* The same of a lane that isn't traced: at the end what the graph says, before that what was seen of it. */
function seenWait(lane, t) {
  const last = GRAPH.waiters.find(one => one.lane === lane);
  if (last && t >= last.since) {
    return { lane, row: -1, reason: last.reason, channel: last.channel, since: last.since, site: last.site, call: '', open: true, to: toldBy(lane) };
  }
  const rows = seenBy()[lane];
  if (!rows) return null;
  const k = seek(rows.begin, t, true) - 1, i = rows.row[k];
  if (k < 0 || !(t < SEEN.end[i] || SEEN.open[i])) return null;
  return { lane, row: -1, reason: REASONS[SEEN.reason[i]], channel: has(SEEN.channel[i]) ? SEEN.channel[i] : null, since: SEEN.begin[i], site: NaN, call: '', open: SEEN.open[i] === 1, to: [] };
}
const once = make => { let made; return () => made ??= make(); };
const seenBy = once(() => {
  const { starts, order } = group(SEEN.lane, LANES.length);
  return LANES.map((_, lane) => { const row = order.subarray(starts[lane], starts[lane + 1]); return row.length ? { row, begin: gather(SEEN.begin, row) } : null; });
});
/* All waits at t, by lane. */
const waitsAt = t => LANES.map((_, lane) => waitOf(lane, t)).filter(Boolean);

/* ---- what lies in the channels ------------------------------------------------------------------------------------- */
/* Where a message is at t: 'writer' (its writer's buffer), 'kernel', 'reader' (its reader's buffer), or null. What an
   untraced reader was given is not known to lie anywhere. */
function whereabouts(i, t) {
  if (t < M.begin[i]) return null;
  if (!(t >= M.written[i])) return 'writer';
  if (!(t >= M.read[i])) return M.lost?.[i] && !has(M.read[i]) ? null : 'kernel'; // a datagram that nobody will ever get lies nowhere
  return t >= M.received[i] || M.unseen[i] === 2 ? null : 'reader';
}
/* channel → { rows, begin, reach, stays, staysBegin }: messages that end somewhere, with the latest end up to and with
   each; and those that never do. Made when a channel is first asked for. */
const passages = [];
function passage(channel) {
  if (passages[channel]) return passages[channel];
  const all = traffic[channel].rows, rows = [], stays = [];
  for (let k = 0; k < all.length; k++) { const i = all[k]; (has(M.read[i]) && (has(M.received[i]) || M.unseen[i] === 2) ? rows : stays).push(i); }
  const reach = new Float64Array(rows.length);
  for (let k = 0, far = 0; k < rows.length; k++) { const i = rows[k]; far = Math.max(far, has(M.received[i]) ? M.received[i] : M.read[i]); reach[k] = far; }
  return passages[channel] = { rows, begin: gather(M.begin, rows), reach, stays, staysBegin: gather(M.begin, stays) };
}
const KEPT = 4; // messages of a place that are shown: those that leave it next
/* { writer, kernel, reader: { rows: the KEPT that came first, count, bytes } } of a channel at t. */
function contentsAt(channel, t) {
  const { rows, begin, reach, stays, staysBegin } = passage(channel), places = {};
  for (const place of ['writer', 'kernel', 'reader']) places[place] = { rows: [], count: 0, bytes: 0 };
  const add = i => {
    const place = places[whereabouts(i, t)];
    if (!place) return;
    place.count++; place.bytes += M.size[i];
    if (place.rows.length < KEPT) place.rows.push(i);
  };
  const to = seek(begin, t, true), staysTo = seek(staysBegin, t, true);
  let k = seek(reach, t), s = 0;
  while (k < to || s < staysTo) add(s >= staysTo || (k < to && rows[k] < stays[s]) ? rows[k++] : stays[s++]); // rows are ordered by begin
  return places;
}
/* The nearest moments at which a channel was used: [last at or before t, next after t]; ±Infinity where there is none. */
function usedNear(channel, t) {
  let before = -Infinity, after = Infinity;
  for (const times of timesOf(channel)) {
    const k = seek(times, t, true);
    if (k) before = Math.max(before, times[k - 1]);
    if (k < times.length) after = Math.min(after, times[k]);
  }
  return [before, after];
}
/* When a channel's messages were put in, written, read and received: sorted times. */
const receipts = [];
function timesOf(channel) {
  const flow = flows[channel];
  receipts[channel] ??= gather(M.received, some(traffic[channel].rows, M.received)).sort();
  return [flow.in.times, flow.out.times, flow.taken.times, receipts[channel]];
}

/* ---- who is where ---------------------------------------------------------------------------------------------------- */
/* lane → lists of moments with a line of source: [{ times, site(k) }]; its messages as writer and reader, and its marks. */
const sightings = once(() => {
  const lists = LANES.map(() => []);
  const list = (lanes, values, sites) => {
    const { starts, order } = group(lanes, LANES.length);
    LANES.forEach((_, lane) => {
      const rows = some(order.subarray(starts[lane], starts[lane + 1]), values);
      if (!rows.length) return;
      let sorted = true;
      for (let k = 1; k < rows.length && sorted; k++) sorted = values[rows[k - 1]] <= values[rows[k]];
      if (!sorted) rows.sort((i, j) => values[i] - values[j]);
      lists[lane].push({ times: gather(values, rows), site: k => sites[rows[k]] });
    });
  };
  list(M.writer, M.begin, M.accept_site);
  list(M.writer, M.written, M.write_site);
  list(M.reader, M.read, M.read_site);
  list(K.lane, K.time, K.site);
  return lists;
});
/* Where a running lane was last seen at or before t: { time, site }, or null. */
function lastSeen(lane, t) {
  let best = null;
  const offer = (time, site) => { if (has(site) && (!best || time > best.time)) best = { time, site }; };
  const { end, row } = laneWaits[lane], k = seek(end, t, true) - 1;
  if (k >= 0) offer(end[k], W.site[row[k]]);
  for (const { times, site } of sightings()[lane]) { const at = seek(times, t, true) - 1; if (at >= 0) offer(times[at], site(at)); }
  return best;
}

/* ---- along the open message --------------------------------------------------------------------------------------- */
/* The next (way 1) or previous (-1) moment of the open message: put into the buffer, written, read, received. Before
   and after these, the next event of its channel. */
function alongMessage(t, way) {
  if (!has(picked)) return t;
  const stages = [M.begin[picked], M.written[picked], M.read[picked], M.received[picked]].filter(has);
  const next = times => way > 0 ? Math.min(...times.filter(time => time > t + 0.5)) : Math.max(...times.filter(time => time < t - 0.5));
  const stage = next(stages), inside = way > 0 ? t >= stages[0] - 0.5 : t <= stages.at(-1) + 0.5;
  if (inside && isFinite(stage)) return stage;
  const [before, after] = usedNear(M.channel[picked], way > 0 ? t + 0.5 : t - 0.5); // what is at t itself is past
  const event = way > 0 ? after : before;
  return isFinite(event) ? event : t;
}
