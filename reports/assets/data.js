/* The run in memory: messages, waits and marks as typed columns, and the indices that make every question about a
   moment or a window a binary search. Filled once by `openRun`. */
const LANES = MODEL.lanes, CHANNELS = MODEL.channels, SITES = MODEL.sites;
const REASONS = Object.keys(MODEL.reasons); // the numbers in waits.reason index this; the last is for untraced lanes
const MARKS = MODEL.marks;
const END = MODEL.end;
let M, W, K; // messages, waits, marks
let payload; // all payload bytes, one after the other; M.at[i] is where message i's begin

const who = lane => has(lane) ? LANES[lane].who : 'nobody';
const writerOf = i => M.unseen[i] === 1 ? CHANNELS[M.channel[i]].unseen.w ?? 'not traced' : who(M.writer[i]);
const readerOf = i => M.unseen[i] === 2 ? CHANNELS[M.channel[i]].unseen.r ?? 'not traced' : has(M.read[i]) ? who(M.reader[i]) : 'nobody';
const channelName = c => has(c) ? CHANNELS[c].name : '·';
const shortName = c => channelName(c).replace(/ at \S+$/, ''); // of a socket without its address
/* Of many names in one text the first few. */
const fewOf = names => { const all = names.split(', '); return all.length > 4 ? `${all.slice(0, 3).join(', ')} and ${n(all.length - 3)} more` : names; };
const place = s => has(s) ? `${SITES[s].file}:${SITES[s].line}` : '';

/* Rows of a table by the value of one column, keeping their order: rows of v are order[starts[v]..starts[v + 1]). */
function group(values, groups) {
  const starts = new Uint32Array(groups + 1), order = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) if (has(values[i])) starts[values[i] + 1]++;
  for (let g = 0; g < groups; g++) starts[g + 1] += starts[g];
  const next = starts.slice();
  for (let i = 0; i < values.length; i++) if (has(values[i])) order[next[values[i]]++] = i;
  return { starts, order };
}

/* Times with the sum of bytes up to each, so that "how much by t" is one search. Sorted where they do not come so. */
function running(times, sizes) {
  let sorted = true;
  for (let i = 1; i < times.length && sorted; i++) sorted = times[i - 1] <= times[i];
  if (!sorted) {
    const order = Uint32Array.from(times, (_, i) => i).sort((a, b) => times[a] - times[b]);
    times = Float64Array.from(order, i => times[i]); sizes = Float64Array.from(order, i => sizes[i]);
  }
  const sums = new Float64Array(times.length);
  for (let i = 0, sum = 0; i < times.length; i++) sums[i] = sum += sizes[i];
  return { times, sums, by: t => { const k = seek(times, t, true); return k ? sums[k - 1] : 0; } };
}

const laneWaits = [];  // lane → { begin, end, row }: its waits, which do not overlap
const flows = [];      // channel → { in, out, taken, given }: bytes accepted, written, read, handed to the program by time
const traffic = [];    // channel → { rows, begin, reach }: its messages; reach = the latest end up to and with each
const SILENCE = running(new Float64Array(0), new Float64Array(0)); // of a channel without messages: there may be thousands
const SILENT = { traffic: { rows: new Uint32Array(0), begin: SILENCE.times, reach: SILENCE.times }, flow: { in: SILENCE, out: SILENCE, taken: SILENCE, given: SILENCE } };
let never = [];        // messages that nobody read
let longestWait = 0;

async function openRun() {
  const blob = $('blob-payload');
  [M, W, K, payload] = await Promise.all([load('messages'), load('waits'), load('marks'), gunzip(blob), longLists()]);
  const size = M.begin.length;
  Object.assign(M, { written: new Float64Array(size), read: new Float64Array(size), received: new Float64Array(size), given: new Float64Array(size), at: new Float64Array(size) });
  for (let i = 0, at = 0; i < size; i++) {
    M.written[i] = M.begin[i] + M.held[i]; M.read[i] = M.written[i] + M.transit[i]; M.received[i] = M.read[i] + M.unread[i]; // NaN: never
    M.given[i] = M.unseen[i] === 2 ? M.read[i] : M.received[i]; // when it left the reader's buffer; who is not traced shows none
    M.at[i] = at; at += M.kept[i];
    if (!has(M.read[i])) never.push(i);
  }
  M.first = new Float64Array(size); // where its bytes begin in its channel: after those of the message before, and a gap
  const ends = new Float64Array(CHANNELS.length);
  for (let i = 0; i < size; i++) {
    const c = M.channel[i];
    M.first[i] = ends[c] + M.gap[i];
    if (has(M.first[i])) ends[c] = M.first[i] + M.size[i];
  }
  W.end = new Float64Array(W.begin.length);
  for (let i = 0; i < W.end.length; i++) W.end[i] = W.begin[i] + W.length[i];
  const byLane = group(W.lane, LANES.length), byChannel = group(M.channel, CHANNELS.length);
  LANES.forEach((_, lane) => {
    const row = byLane.order.subarray(byLane.starts[lane], byLane.starts[lane + 1]);
    laneWaits.push({ row, begin: gather(W.begin, row), end: gather(W.end, row) });
  });
  CHANNELS.forEach((_, channel) => {
    if (byChannel.starts[channel] === byChannel.starts[channel + 1]) { traffic.push(SILENT.traffic); flows.push(SILENT.flow); return; }
    const rows = byChannel.order.subarray(byChannel.starts[channel], byChannel.starts[channel + 1]), begin = gather(M.begin, rows);
    const reach = new Float64Array(rows.length);
    for (let k = 0, far = 0; k < rows.length; k++) { const end = M.read[rows[k]]; far = Math.max(far, has(end) ? end : begin[k]); reach[k] = far; }
    traffic.push({ rows, begin, reach });
    CHANNELS[channel].items = CHANNELS[channel].kind === 'queue' && !rows.some(i => M.size[i]); // objects have no size: they are counted
    const sizes = some => CHANNELS[channel].items ? new Float64Array(some.length).fill(1) : gather(M.size, some);
    const flow = (times, some) => running(gather(times, some), sizes(some));
    flows.push({ in: flow(M.begin, rows), out: flow(M.written, some(rows, M.written)), taken: flow(M.read, some(rows, M.read)), given: flow(M.given, some(rows, M.given)) });
  });
}
/* A message that several reads got leaves its channel piece by piece, where the page knows the pieces (P, C: causes.js). */
function takenByPieces() {
  if (typeof P === 'undefined' || !P?.message) return;
  const split = i => M.reads[i] > 1 && has(M.read[i]), channels = new Set();
  for (let i = 0; i < M.reads.length; i++) if (split(i)) channels.add(M.channel[i]);
  for (const c of channels) {
    const moves = { taken: [[], []], given: [[], []] }, move = (what, t, size) => { moves[what][0].push(t); moves[what][1].push(size); };
    for (const i of traffic[c].rows) {
      if (!split(i)) { if (has(M.read[i])) move('taken', M.read[i], M.size[i]); if (has(M.given[i])) move('given', M.given[i], M.size[i]); continue; }
      const atOnce = M.given[i] === M.read[i]; // no buffer between the reads and the program
      if (!atOnce && has(M.given[i])) move('given', M.given[i], M.size[i]);
      for (const { from, to, read } of piecesOf(i)) {
        const t = read >= 0 && has(C.length[read]) ? C.begin[read] + C.length[read] : M.read[i];
        move('taken', t, to - from);
        if (atOnce) move('given', t, to - from);
      }
    }
    for (const what of ['taken', 'given']) flows[c][what] = running(...moves[what].map(values => Float64Array.from(values)));
  }
}
/* values[rows], as numbers. */
function gather(values, rows) {
  const made = new Float64Array(rows.length);
  for (let k = 0; k < rows.length; k++) made[k] = values[rows[k]];
  return made;
}
/* The rows that have a value. */
function some(rows, values) {
  const made = new Uint32Array(rows.length);
  let size = 0;
  for (let k = 0; k < rows.length; k++) if (has(values[rows[k]])) made[size++] = rows[k];
  return made.subarray(0, size);
}

/* ---- questions about a moment ------------------------------------------------------------------------------------ */
const born = lane => LANES[lane].started ?? 0;
const gone = lane => LANES[lane].ended ?? END;
/* The wait (row of W) that a lane is in at t, or -1. */
function waitAt(lane, t) {
  const { begin, end, row } = laneWaits[lane], k = seek(begin, t, true) - 1;
  return k >= 0 && (t < end[k] || (W.open[row[k]] && t >= begin[k])) ? row[k] : -1;
}
/* What a lane does at t: { reason, since, until, row }, or null where it does not live. */
function stateAt(lane, t) {
  if (t < born(lane) || (t > gone(lane))) return null;
  const row = waitAt(lane, t);
  if (row >= 0) return { reason: REASONS[W.reason[row]], since: W.begin[row], until: W.end[row], row };
  const { begin, end } = laneWaits[lane], k = seek(begin, t, true);
  return { reason: LANES[lane].traced ? 'run' : 'unseen', since: k ? end[k - 1] : born(lane), until: k < begin.length ? begin[k] : gone(lane), row: -1 };
}
/* Where the cursor lies at first in a run that came to no knot: in the middle of the longest wait, which the verdict tells
   of; where nobody waited, at the end. */
function middleOfLongestWait() {
  let longest = -1;
  for (let i = 0; i < W.begin.length; i++) if (REASONS[W.reason[i]] !== 'sleep' && !(W.length[i] <= W.length[longest])) longest = i;
  return longest < 0 ? END : (W.begin[longest] + W.end[longest]) / 2;
}
/* Bytes of writes to a channel that never returned: they are in no buffer, and how many of them went is not known. */
let leaving; // these messages
const leavingAt = (channel, t) => (leaving ??= never.filter(i => M.leaving[i])).reduce((sum, i) => sum + (M.channel[i] === channel && M.begin[i] <= t ? M.size[i] : 0), 0);
/* Bytes in the kernel's channel, in its writers' buffers, and in its readers' at t. */
function fillAt(channel, t) {
  const f = flows[channel], left = f.out.by(t), taken = f.taken.by(t);
  return { kernel: Math.max(0, left - taken), user: Math.max(0, f.in.by(t) - Math.max(left, taken)), reader: Math.max(0, taken - f.given.by(t)) };
}
/* The next (way 1) or previous (-1) moment at which anything happened. */
function neighbour(t, way) {
  let best = way > 0 ? END : 0;
  const look = times => {
    const k = way > 0 ? seek(times, t + 0.5, true) : seek(times, t - 0.5) - 1;
    if (k >= 0 && k < times.length) best = way > 0 ? Math.min(best, times[k]) : Math.max(best, times[k]);
  };
  laneWaits.forEach(w => { look(w.begin); look(w.end); });
  flows.forEach(f => { look(f.in.times); look(f.out.times); look(f.taken.times); });
  look(K.time);
  return best;
}
/* Every message row that is under way in [t0, t1], passed to `use`; messages never read only where asked for. */
function eachMessage(t0, t1, use) {
  for (const { rows, begin, reach } of traffic) {
    for (let k = seek(reach, t0), to = seek(begin, t1, true); k < to; k++) {
      const i = rows[k], end = M.read[i];
      if (end >= t0) use(i);
    }
  }
}

/* ---- payloads ------------------------------------------------------------------------------------------------------ */
const bytesOf = i => payload.subarray(M.at[i], M.at[i] + M.kept[i]);
const decoder = new TextDecoder();
const textOf = i => decoder.decode(bytesOf(i)) + (M.kept[i] < M.size[i] && M.kept[i] ? '…' : '');
