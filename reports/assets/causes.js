/* What a message has to do with others: what it shares a write or a read with, what came before and after it in its
   threads, and whether it raced. Every message that is named here is a button that opens it. */
const NEAR = 12, CHAIN = 5; // chips in a row before "and n more"; links of the chain each way
let P, C, R, RACED; // pieces and calls of what was split or merged; races, and which messages were in them
let piecesOfWrite, piecesOfRead; // call → its pieces
let said, heardRows = []; // lane → messages that it handed over, by begin; that it received, by then

async function openPieces() {
  [P, C, R, RACED] = await Promise.all(['pieces', 'calls', 'races', 'raced'].map(load));
}
const indexPieces = () => { piecesOfWrite ??= group(P.write, C.begin.length + 1); piecesOfRead ??= group(P.read, C.begin.length + 1); };
const rowsOf = (index, key) => index.order.subarray(index.starts[key], index.starts[key + 1]);

/* ---- pieces ---------------------------------------------------------------------------------------------------------- */
/* The pieces of message i: [{ from, to, write, read }], the last two as calls or -1; none where nothing was split or merged. */
function piecesOf(i) {
  const found = [];
  for (let k = seek(P.message, i), from = 0; k < P.message.length && P.message[k] === i; k++) {
    found.push({ from, to: from + P.size[k], write: P.write[k] - 1, read: P.read[k] - 1 });
    from += P.size[k];
  }
  return found;
}
/* The other messages that these calls moved too, in order. */
function sharing(i, calls, index) {
  const found = new Set();
  for (const call of new Set(calls)) if (call >= 0) for (const k of rowsOf(index, call + 1)) found.add(P.message[k]);
  found.delete(i);
  return [...found].sort((a, b) => a - b);
}
function together(i) {
  indexPieces();
  const pieces = piecesOf(i);
  return { written: sharing(i, pieces.map(p => p.write), piecesOfWrite), read: sharing(i, pieces.map(p => p.read), piecesOfRead) };
}

/* ---- before and after ------------------------------------------------------------------------------------------------- */
const saidBy = lane => rowsOf(said ??= group(M.writer, LANES.length), lane);
/* The messages that a lane received, with when: sorted when first asked for. */
function heardBy(lane) {
  if (heardRows[lane]) return heardRows[lane];
  const rows = [];
  for (let i = 0; i < M.receiver.length; i++) if (M.receiver[i] === lane && has(M.received[i])) rows.push(i);
  rows.sort((a, b) => M.received[a] - M.received[b] || a - b);
  return heardRows[lane] = { rows, times: gather(M.received, rows) };
}
const knownWriter = i => has(M.writer[i]) && M.unseen[i] !== 1 && LANES[M.writer[i]].traced;
const knownReader = i => has(M.receiver[i]) && M.unseen[i] !== 2 && has(M.received[i]);

/* What a lane did last before t, and first from t on: { heard, said: rows of M; wait: row of W }; -1: nothing. */
function lastBefore(lane, t, but = -1) {
  const heard = heardBy(lane), own = saidBy(lane), waits = laneWaits[lane];
  let k = seek(heard.times, t, true) - 1, s = seek(own, but >= 0 ? but : M.begin.length) - 1;
  while (s >= 0 && M.begin[own[s]] > t) s--;
  while (k >= 0 && heard.rows[k] === but) k--;
  const w = seek(waits.end, t, true) - 1;
  return { heard: k >= 0 ? heard.rows[k] : -1, said: s >= 0 ? own[s] : -1, wait: w >= 0 ? waits.row[w] : -1 };
}
function firstAfter(lane, t, but = -1) {
  const heard = heardBy(lane), own = saidBy(lane), waits = laneWaits[lane];
  let k = seek(heard.times, t), s = 0;
  for (let to = own.length; s < to;) { const mid = (s + to) >> 1; if (M.begin[own[mid]] < t) s = mid + 1; else to = mid; }
  while (k < heard.rows.length && (heard.rows[k] === but || (heard.times[k] === t && heard.rows[k] < but))) k++;
  const w = seek(waits.begin, t);
  return { heard: heard.rows[k] ?? -1, said: own[s] ?? -1, wait: waits.row[w] ?? -1 };
}
/* The last message that its writer received before it handed it over; the first that its reader handed over after it. */
const causeOf = i => knownWriter(i) ? lastBefore(M.writer[i], M.begin[i], i).heard : -1;
const effectOf = i => knownReader(i) ? firstAfter(M.receiver[i], M.received[i], i).said : -1;
function chain(i, step) {
  const found = [];
  for (let j = step(i); j >= 0 && !found.includes(j) && j !== i; j = step(j)) if (found.push(j) > CHAIN) break;
  return found;
}

/* ---- in words --------------------------------------------------------------------------------------------------------- */
const sizeWords = i => isItem(i) ? 'item' : `${n(M.size[i])} B`;
const chipTitle = i => esc(`${writerOf(i)} → ${has(M.read[i]) ? readerOf(i) : 'nobody yet'}, ${channelName(M.channel[i])}${M.kept[i] ? `: ${textOf(i).slice(0, 60)}` : ''}`);
const link = (i, words = `${M.number[i]} · ${sizeWords(i)}`) => `<button class="to" data-message="${i}" title="${chipTitle(i)}">${esc(words)}</button>`;
function links(rows, most = NEAR) {
  const rest = rows.length - most;
  return rows.slice(0, most).map(i => link(i)).join(' ') + (rest > 0 ? ` <button class="to" data-all="${most + 100}">and ${n(rest)} more</button>` : '');
}

function togetherView(i, most) {
  const { written, read } = together(i), parts = [];
  if (written.length) parts.push(`<dt>${M.held[i] > 0 || !has(M.held[i]) ? 'Flushed together with' : 'Written together with'}</dt><dd>${links(written, most)}</dd>`);
  if (read.length) parts.push(`<dt>Read together with</dt><dd>${links(read, most)}</dd>`);
  return parts.length ? `<dl class="near">${parts.join('')}</dl>` : '';
}

const waitLink = row => `<button class="to" data-wait="${row}">${esc(MODEL.reasons[REASONS[W.reason[row]]])} ${dur(W.length[row])}</button>${has(W.site[row]) ? ` <span class="dim">${esc(place(W.site[row]))} ·</span>` : ''}`;
/* Deeds of a lane, nearest first, each with how far from t. */
function deeds(around, t, ago) {
  const told = [
    around.heard >= 0 && [M.received[around.heard], `received ${link(around.heard)}`],
    around.said >= 0 && [M.begin[around.said], `sent ${link(around.said)}`],
    around.wait >= 0 && [ago < 0 ? W.end[around.wait] : W.begin[around.wait], waitLink(around.wait)],
  ].filter(Boolean).sort((a, b) => Math.abs(a[0] - t) - Math.abs(b[0] - t));
  return told.map(([when, words]) => `<li>${words} <span class="dim">${when === t ? 'at once' : `${dur(Math.abs(when - t))} ${ago < 0 ? 'before' : 'later'}`}</span></li>`).join('');
}
const NOTHING_BEFORE = 'Nothing: it is the first thing that this thread did with others.';
const NOTHING_AFTER = 'Nothing: its reader neither sent, received nor waited any more.';
function unheardWords(i) { // why nothing is told of what came after it
  if (M.unseen[i] === 2) return 'Its reader is not traced: what it did then is not known.';
  if (has(M.read[i])) return 'Its reader has not taken all of it from its buffer: nothing came of it yet.';
  return piecesOf(i).some(p => p.read >= 0) ? 'Nobody has got all of it, so nothing came of it yet.' : 'Nobody has got it, so nothing came of it.';
}
function neighbours(i) {
  const wrote = knownWriter(i), got = knownReader(i);
  const before = wrote ? deeds(lastBefore(M.writer[i], M.begin[i], i), M.begin[i], -1) : '';
  const after = got ? deeds(firstAfter(M.receiver[i], M.received[i], i), M.received[i], 1) : '';
  const listed = (items, none) => items ? `<ul class="deeds">${items}</ul>` : `<p class="none">${none}</p>`;
  return `<div><h4>Before it${wrote ? `, in ${esc(writerOf(i))}` : ''}</h4>${listed(before, wrote ? NOTHING_BEFORE : 'Its writer is not traced: what it did before is not known.')}</div>
    <div><h4>After it${got ? `, in ${esc(who(M.receiver[i]))}` : ''}</h4>${listed(after, got ? NOTHING_AFTER : unheardWords(i))}</div>`;
}
/* 3 → 7 → this → 12: each was sent after the one before it had been received by the same thread. */
function chainView(i) {
  const back = chain(i, causeOf), on = chain(i, effectOf);
  if (!back.length && !on.length) return '';
  const step = j => link(j, `${M.number[j]} · ${writerOf(j)}`), arrow = ' <span aria-hidden="true">→</span> ';
  const parts = [
    ...(back.length > CHAIN ? ['…'] : []), ...back.slice(0, CHAIN).reverse().map(step),
    `<b>${M.number[i]} · ${esc(writerOf(i))}</b>`,
    ...on.slice(0, CHAIN).map(step), ...(on.length > CHAIN ? ['…'] : []),
  ];
  return `<div class="full"><h4>What led to it, and what it led to</h4><p class="chain">${parts.join(arrow)}</p><p class="dim">Each was sent by a thread that had received the one before it.</p></div>`;
}

/* ---- races ------------------------------------------------------------------------------------------------------------- */
/* The races that message i was in: [{ race, second }]. */
function racesOf(i) {
  const found = [];
  for (let k = seek(RACED.message, i); k < RACED.message.length && RACED.message[k] === i; k++) found.push({ race: RACED.race[k], second: RACED.second[k] === 1 });
  return found;
}
/* One race of message i in words, and both orders: as it was, and as it could have been. */
function raceView(i, { race, second }) {
  const lanes = [R.first_lane[race], R.second_lane[race]].map(who).map(esc), messages = [R.first[race], R.second[race]];
  const [mine, other] = second ? [1, 0] : [0, 1], named = k => link(messages[k], `${M.number[messages[k]]}`);
  const sides = R.receive[race] ? lanes.map(lane => `${lane} reads`) : [0, 1].map(k => has(messages[k]) ? `${named(k)} of ${lanes[k]}` : `what ${lanes[k]} sent`);
  const theirs = !has(messages[other]) ? `what ${lanes[other]} ${R.receive[race] ? 'got' : 'sent'}`
    : `message ${named(other)} of ${R.receive[race] ? esc(writerOf(messages[other])) : lanes[other]}`;
  const said = R.receive[race]
    ? `${lanes[mine]} got it, and ${lanes[other]} got ${theirs}. It could also have been the other way round: nothing in the program orders the two reads.`
    : `It could also have come ${second ? 'before' : 'after'} ${theirs}: nothing in the program orders the two.`;
  const lines = [R.first_site[race], R.second_site[race]].map((s, k) => has(s) ? `${lanes[k]} at ${esc(place(s))}` : '').filter(Boolean).join(', ');
  const many = R.count[race] > 1 ? ` <span class="dim">One of ${n(R.count[race])} such pairs on ${esc(channelName(R.channel[race]))}.</span>` : '';
  return `<p>${said}${many}</p>
    <dl class="orders"><dt>as it was</dt><dd>${sides.join(' → ')}</dd><dt>or else</dt><dd>${[...sides].reverse().join(' → ')}</dd></dl>
    ${lines ? `<p class="dim">${lines}</p>` : ''}`;
}
function raceWords(i) {
  const found = racesOf(i), channel = M.channel[i], name = esc(channelName(channel));
  if (found.length) return found.slice(0, 3).map(one => raceView(i, one)).join('') + (found.length > 3 ? `<p class="dim">and ${n(found.length - 3)} more races.</p>` : '');
  if (M.unseen[i] || CHANNELS[channel].unseen.w || CHANNELS[channel].unseen.r) return `<p class="none">Whether it raced is not known: not all who use ${name} are traced.</p>`;
  if (!has(M.written[i]) && !M.leaving[i]) return '<p class="none">It never left its writer, so it raced with nothing.</p>';
  let listed = 0, all = 0;
  for (let k = 0; k < R.channel.length; k++) if (R.channel[k] === channel) { listed++; all = Math.max(all, R.count[k]); }
  if (all > listed) return `<p class="none">Of ${n(all)} races on ${name} the first are listed; it is in none of those. Of the others only the number is known.</p>`;
  return `<p class="none">It did not race: the program orders it and its neighbours on ${name}.</p>`;
}
/* Why it is not certain which message this is, in words; '' where it is. */
function doubt(i) {
  if (!M.ambiguous[i]) return '';
  if (M.unseen[i]) return `${M.unseen[i] === 1 ? `That ${writerOf(i)} wrote it` : `That ${readerOf(i)} read it`} is told by who held the ends of ${channelName(M.channel[i])}, not by a call that was seen.`;
  const channel = CHANNELS[M.channel[i]], alien = [channel.unseen.w, channel.unseen.r].filter(Boolean)[0];
  if (isItem(i)) return 'Which item this get got is not certain: others were in the queue, and their bytes do not tell them apart.';
  if (alien) return `${alien === 'not traced' ? 'A process that is not traced' : alien} uses ${channel.name} too and is not traced: whose bytes these are is not certain.`;
  if (isDatagram(i)) return 'Another datagram of the same size and bytes would do as well: which one was got is not certain.';
  return 'Several wrote or read at the same time, and the bytes do not tell them apart: whose bytes these are is not certain.';
}
