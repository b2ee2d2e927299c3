/* The message inspector: one message's times, place in its channel, lines, bytes, and neighbours. Whatever opens a message
   calls `pick(row)`; what is open is `picked`, and whoever wants to know heeds 'message'. */
let picked = null, pickedLinks = NEAR;
const CHIPS = 12, PIECES = 8;

/* ---- what kind of message, and how far it came ---------------------------------------------------------------------- */
const kindOf = i => CHANNELS[M.channel[i]].kind;
const isItem = i => kindOf(i) === 'queue';
const isDatagram = i => MODEL.datagrams.includes(M.channel[i]);
/* in the writer's buffer: 'held' · its write has not returned: 'leaving' · 'lost' · in the channel: 'lying' · in the
   reader's buffer: 'unread' · 'done' */
function stageOf(i) {
  if (!has(M.written[i])) return M.leaving[i] ? 'leaving' : 'held';
  if (!has(M.read[i])) return M.lost[i] ? 'lost' : 'lying';
  return has(M.received[i]) || M.unseen[i] === 2 ? 'done' : 'unread';
}
const thing = i => isItem(i) ? 'an item of a queue' : isDatagram(i) ? `a datagram of ${count(M.size[i], 'byte')}` : count(M.size[i], 'byte');
const capital = s => s[0].toUpperCase() + s.slice(1);
const TITLES = {
  held: i => `${thing(i)} that never left ${esc(writerOf(i))}`,
  leaving: i => `${thing(i)} that ${esc(writerOf(i))} is still writing`,
  lost: i => `${thing(i)} from ${esc(writerOf(i))}, lost`,
  lying: i => `${thing(i)} from ${esc(writerOf(i))}, ${isItem(i) ? 'never got' : 'never read'}`,
  unread: i => `${thing(i)}, ${esc(writerOf(i))} → ${esc(readerOf(i))}, not taken from its buffer`,
  done: i => `${thing(i)}, ${esc(writerOf(i))} → ${esc(readerOf(i))}${M.unseen[i] ? '' : M.received[i] > M.begin[i] ? `, ${dur(M.received[i] - M.begin[i])}` : ', at once'}`,
};
const titleOf = i => capital(TITLES[stageOf(i)](i));

/* When a lane's process ended: bytes in its buffers are gone with it. */
const processEnd = lane => has(lane) ? Math.max(...LANES.map((l, k) => l.process === LANES[lane].process ? gone(k) : 0)) : END;

/* ---- its time: in the writer's buffer, the channel, the reader's buffer ----------------------------------------------- */
const bufferName = i => MODEL.ops[M.op[i]] === 'multiprocessing.Queue.put' ? 'the writer’s queue, until its feeder wrote it' : 'the writer’s buffer';
function latency(i) {
  if (M.unseen[i]) return `<p class="none">${M.unseen[i] === 1 ? 'Its writer' : 'Its reader'} is not traced: how long it was under way is not known.</p>`;
  const stage = stageOf(i), writerEnd = processEnd(M.writer[i]), readerEnd = processEnd(M.reader[i]);
  // [where, how long, colour, still there, until when it could be]
  const all = [
    [bufferName(i), stage === 'held' ? writerEnd - M.begin[i] : stage === 'leaving' ? 0 : M.held[i], 'liquid2', stage === 'held', writerEnd],
    [channelName(M.channel[i]), stage === 'leaving' ? END - M.begin[i] : stage === 'lying' ? END - M.written[i] : Math.max(0, M.transit[i]), 'accent', stage === 'leaving' || stage === 'lying', END],
    ['the reader’s buffer', stage === 'unread' ? readerEnd - M.read[i] : M.unread[i], 'child', stage === 'unread', readerEnd],
  ];
  const reached = { held: 1, leaving: 2, lost: 1, lying: 2, unread: 3, done: 3 }[stage], parts = all.slice(0, reached).filter(p => !isItem(i) || p[2] === 'accent');
  const sum = parts.reduce((a, p) => a + Math.max(0, p[1] || 0), 0) || 1;
  const still = p => p[3] ? (p[4] < END ? ', until it ended' : ', and counting') : '';
  const never = [stage === 'lost' ? 'the channel lost it' : '', ...all.slice(reached).filter(() => !isItem(i) && stage !== 'lost').map(p => `${esc(p[0])}: never reached`)].filter(Boolean);
  return `${parts.some(p => p[1] > 0) ? `<div class="lat">${parts.filter(p => p[1] > 0).map(p => `<i class="${p[3] ? 'open' : ''}" style="--c:var(--${p[2]});flex:${(p[1] / sum).toFixed(6)}"></i>`).join('')}</div>` : ''}
    <div class="lk">${parts.map(p => `<span><i style="--c:var(--${p[2]})"></i>${esc(p[0])} <b>${p[1] > 0 ? dur(p[1]) : 'none'}${still(p)}</b></span>`).join('')}${never.length ? `<span class="dim">${never.join(' · ')}</span>` : ''}</div>`;
}

/* ---- its place in the channel ------------------------------------------------------------------------------------------- */
/* Where its bytes lie among its channel's: its neighbours on both sides. */
function ranges(i) {
  if (!has(M.first[i])) return `<p class="dim">${isItem(i) ? 'Items have a place in their queue, not in a stream of bytes.' : isDatagram(i) ? 'A datagram comes whole or not at all: it has no place in a stream of bytes.' : `Where in ${esc(channelName(M.channel[i]))} its bytes lie is not known.`}</p>`;
  const { rows } = traffic[M.channel[i]], k = seek(rows, i), some = [...rows.subarray(Math.max(0, k - 12), k + 13)].filter(j => has(M.first[j]));
  const from = Math.min(...some.map(j => M.first[j])), to = Math.max(...some.map(j => M.first[j] + M.size[j])), scale = 500 / Math.max(1, to - from);
  return `<svg class="ranges" viewBox="0 0 500 14" preserveAspectRatio="none" aria-hidden="true">${some.map(j => `<rect x="${(M.first[j] - from) * scale + 0.5}" y="1" width="${Math.max(1, M.size[j] * scale - 2)}" height="12" rx="2" fill="var(--${has(M.written[j]) || M.leaving[j] ? 'accent' : 'liquid'})" opacity="${j === i ? 1 : 0.3}"/>`).join('')}</svg>
    <div class="lk"><span>bytes [${n(M.first[i])}, ${n(M.first[i] + M.size[i])}) of ${esc(channelName(M.channel[i]))}</span><span class="dim">${esc(wayWords(i))}</span></div>`;
}
/* How it was cut up on its way, in words. */
function wayWords(i) {
  if (stageOf(i) === 'held') return `never written: ${channelName(M.channel[i])} has carried ${count(CHANNELS[M.channel[i]].written ?? 0, 'byte')} in all`;
  const pieces = piecesOf(i), different = key => new Set(pieces.map(p => p[key]).filter(call => call >= 0)).size, { written, read } = together(i), said = [];
  if (M.leaving[i]) said.push('not all of it has left');
  if (different('write') > 1) said.push(`${different('write')} writes`);
  if (different('read') > 1) said.push(`read in ${different('read')} pieces`);
  if (written.length) said.push(`one write with ${count(written.length, 'other message')}`);
  if (read.length) said.push(`a read got it together with ${count(read.length, 'other message')}`);
  if (said.length) return said.join(' · ');
  return has(M.read[i]) && !M.unseen[i] ? 'one write, one read: nothing merged or split' : M.unseen[i] === 2 ? 'its reader is not traced: how it was read is not known' : M.unseen[i] === 1 ? 'its writer is not traced: how it was written is not known' : 'one write';
}
/* Which write carried and which read got which of its bytes; where it was one and one, the lines beside say it. */
function piecesTable(i, all) {
  const pieces = piecesOf(i);
  if (pieces.length < 2) return '';
  const call = (c, none) => c < 0 ? `<span class="dim">${none}</span>` : `${at(C.begin[c] + (has(C.length[c]) ? C.length[c] : 0), 6)} <span class="mono">${esc(MODEL.calls[C.label[c]])}</span> <span class="dim">${esc(place(C.site[c]))}${has(C.length[c]) ? '' : ', has not returned'}</span>`;
  const rows = pieces.slice(0, all ? 2000 : PIECES).map((p, k) => `<tr><td>[${n(p.from)}, ${n(p.to)})<td>${k && pieces[k - 1].write === p.write ? '<span class="dim">same write</span>' : call(p.write, M.unseen[i] === 1 ? 'not traced' : 'never written')}<td>${k && p.read >= 0 && pieces[k - 1].read === p.read ? '<span class="dim">same read</span>' : call(p.read, M.unseen[i] === 2 ? 'not traced' : 'nobody')}`);
  const rest = pieces.length - rows.length;
  return `<div class="full"><h4>Which write and which read moved which of its bytes</h4><div class="scroll" tabindex="0" role="region" aria-label="Its pieces"><table class="data pieces"><thead><tr><th>its bytes<th>written by<th>read by</thead><tbody>${rows.join('')}</tbody></table></div>${rest > 0 ? `<p class="dim">${all ? `and ${n(rest)} more pieces` : `<button data-pieces="1">Show the other ${n(rest)} pieces</button>`}</p>` : ''}</div>`;
}

/* ---- the lines of both sides ---------------------------------------------------------------------------------------------- */
/* The wait that a lane is in for good, as a row of W, or -1. */
const openWait = lane => { const row = laneWaits[lane].row.at(-1); return row !== undefined && W.open[row] ? row : -1; };
const sourceBlock = (s, extra = '') => has(s) ? `<div class="src"><small>${esc(place(s))}${extra ? ` · ${extra}` : ''}</small>\n${esc((SITES[s].text ?? 'source not kept').trim())}</div>` : '';
const step = (words, block) => `<p class="dim">${words}</p>${block}`;
const call = op => op ? `<span class="mono">${esc(op)}</span>` : '';
const opOf = i => M.op[i] ? `${MODEL.ops[M.op[i]]}()` : '';

function writerSide(i) {
  if (M.unseen[i] === 1) return `<p class="dim">${esc(writerOf(i))} wrote it: its source is not known.</p>`;
  const stage = stageOf(i), op = opOf(i) ? ` by ${call(opOf(i))}` : '', said = [step(`Handed over at ${at(M.begin[i])}${op}`, sourceBlock(M.accept_site[i]) || '<p class="none">Its line is not known.</p>')];
  const instead = stage === 'held' && has(M.writer[i]) ? openWait(M.writer[i]) : -1;
  if (instead >= 0 && has(W.site[instead])) said.push(step('Not flushed before', sourceBlock(W.site[instead], `${esc(MODEL.labels[W.label[instead]])}, since ${at(W.begin[instead])}`)));
  if (stage === 'leaving') said.push('<p class="dim">Its write has not returned: what there was room for may lie in the channel.</p>');
  if (has(M.written[i]) && M.held[i] > 0) said.push(has(M.write_site[i]) && M.write_site[i] !== M.accept_site[i] ? step(`Written at ${at(M.written[i])} from`, sourceBlock(M.write_site[i])) : `<p class="dim">Written at ${at(M.written[i])}${has(M.write_site[i]) ? ', from the same line' : ''}</p>`);
  return said.join('');
}
function readerSide(i) {
  const stage = stageOf(i), waiting = LANES.findIndex((_, lane) => openWait(lane) >= 0 && W.channel[openWait(lane)] === M.channel[i]), awaiting = waiting >= 0 ? openWait(waiting) : -1;
  if (M.unseen[i] === 2) return `<p class="dim">${esc(readerOf(i))} reads ${esc(channelName(M.channel[i]))}: its source is not known.</p>`;
  if (!has(M.read[i])) {
    const part = piecesOf(i).filter(p => p.read >= 0).reduce((a, p) => a + p.to - p.from, 0), words = part ? `${n(part)} of its bytes were read` : { held: 'Not flushed, so not read', leaving: 'Not read', lost: 'Lost: the receiver got a later one, and never this', lying: isItem(i) ? 'Nobody got it' : 'Nobody read it' }[stage];
    const reads = part && has(M.read_site[i]) ? sourceBlock(M.read_site[i]) : '';
    return `<p class="dim">${words}</p>${reads}${stage === 'held' && awaiting >= 0 && has(W.site[awaiting]) ? step(`Awaited since ${at(W.begin[awaiting])} by ${esc(who(waiting))}`, sourceBlock(W.site[awaiting])) : ''}`;
  }
  const op = MODEL.receives[M.receive[i]], apart = M.unread[i] > 0 && has(M.receive_site[i]) && M.receive_site[i] !== M.read_site[i];
  const said = [step(`${isItem(i) ? 'Got' : 'Read'} at ${at(M.read[i])}${op && !apart ? ` by ${call(op)}` : ''}`, sourceBlock(M.read_site[i]) || '<p class="none">The reader’s source is not known.</p>')];
  if (apart) said.push(step(`Taken from its buffer at ${at(M.received[i])} by ${call(op)}`, sourceBlock(M.receive_site[i])));
  if (stage === 'unread') said.push('<p class="dim">It still lies in its reader’s buffer: the program never asked for it.</p>');
  return said.join('');
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------ */
function note(i) {
  const channel = esc(channelName(M.channel[i])), stage = stageOf(i), frozen = MODEL.stuck.some(one => one.channel === M.channel[i]) && MODEL.verdict === 'deadlock';
  if (M.unseen[i]) return '';
  if (stage === 'held') return frozen ? 'Never left its writer. What waits for it waits for ever.' : 'Never left its writer.';
  if (stage === 'leaving') return `Its write has not returned: ${channel} has no room for all of it.`;
  if (stage === 'lost') return `${count(M.lost[i], 'byte')} that nobody will ever get.`;
  if (isItem(i)) return stage === 'lying' ? `Still in ${channel}.` : `Was in ${channel} for ${dur(Math.max(0, M.transit[i]))}.`;
  const cut = M.lost[i] ? ` ${count(M.lost[i], 'byte')} of it were cut off: the receiver asked for fewer.` : '';
  const most = Math.max(M.held[i], M.transit[i] || 0, M.unread[i] || 0);
  const said = most <= 1e6 ? (M.held[i] > 0 ? 'Went through a buffer, and on at once.' : 'Written past any buffer, straight into the channel.')
    : most === M.held[i] ? `Waited ${dur(M.held[i])} in ${esc(bufferName(i).replace('the ', 'its ').replace('writer’s buffer', 'writer’s own buffer'))}.` : most === M.transit[i] ? `Lay ${dur(M.transit[i])} in ${channel}.` : `Lay ${dur(M.unread[i])} in its reader’s buffer, before the program asked for it.`;
  return said + cut;
}
function tags(i) {
  const pieces = piecesOf(i), { written } = together(i);
  return [[racesOf(i).length, 'raced'], [M.merged[i], 'merged'], [pieces.some(p => p.from > 0), 'split'], [written.length, M.held[i] > 0 ? 'flushed with others' : 'written with others'], [M.ambiguous[i], 'ambiguous'], [M.lost[i], 'lost bytes'], [M.unseen[i], 'end not traced']]
    .filter(([is]) => is).map(([, word]) => `<span class="tag">${word}</span>`).join('');
}
/* `print() → input() on pipe A` */
function opLine(i) {
  const to = MODEL.receives[M.receive[i]], ends = [opOf(i) || (M.unseen[i] === 1 ? writerOf(i) : ''), to || (M.unseen[i] === 2 ? readerOf(i) : '')].map(call);
  return `<p class="ops">Message ${n(M.number[i])}${ends[0] || ends[1] ? ` · ${ends[0] || '?'}${ends[1] ? ` → ${ends[1]}` : ''}` : ''} · ${esc(channelName(M.channel[i]))}${kindOf(i) === 'fifo' && CHANNELS[M.channel[i]].path ? ` <span class="mono">${esc(CHANNELS[M.channel[i]].path)}</span>` : ''} ${tags(i)}</p>`;
}

let allPieces = false;
function show(i) {
  $('inspect').innerHTML = `<article class="msg" aria-labelledby="msg-h"><div><h3 id="msg-h" tabindex="-1">${titleOf(i)}</h3>${opLine(i)}<p class="dim">${note(i)}</p>${latency(i)}</div>
    <div>${ranges(i)}${togetherView(i, pickedLinks)}</div>
    <div><h4>Its writer</h4>${writerSide(i)}</div><div><h4>Its reader</h4>${readerSide(i)}</div>${piecesTable(i, allPieces)}
    <div class="full"><h4>Its bytes</h4>${bytesView(i)}</div>
    ${neighbours(i)}${chainView(i)}
    <div class="full race"><h4>Could it have come in another order?</h4>${doubt(i) ? `<p>${esc(doubt(i))}</p>` : ''}${raceWords(i)}</div></article>`;
}
function pick(i, redraw = true) {
  picked = i;
  bytesShown = FIRST_BYTES; pickedLinks = NEAR; allPieces = false;
  show(i);
  chips();
  $('opened').textContent = $('msg-h').textContent;
  tell('message');
  if (redraw && G) draw();
}
/* Opens a message that was asked for by a button here: the cursor goes to it too, and the keyboard stays where it was. */
function openMessage(i) {
  const inChips = $('mpick').contains(document.activeElement);
  pick(i, false);
  go(M.begin[i]);
  draw();
  (inChips ? $('mpick').querySelector(`[data-message="${i}"]`) ?? $('mpick').querySelector('button') : $('msg-h'))?.focus({ preventScroll: true });
  if (!inChips && $('inspect').getBoundingClientRect().top < 0) $('messages').scrollIntoView();
}

/* Few messages: a button each. Many: the stuck ones, and a number to type. */
function chips() {
  const size = M.begin.length, some = size <= CHIPS ? [...Array(size).keys()] : [...new Set([...never.filter(i => !has(M.written[i])).slice(0, 4), picked])].sort((a, b) => a - b);
  const button = i => `<button data-message="${i}" class="${has(M.written[i]) ? '' : 'stuck'}" aria-pressed="${i === picked}">${M.number[i]} · ${esc(channelName(M.channel[i]))} · ${sizeWords(i)}</button>`;
  const walk = size > CHIPS ? `<button data-walk="-1" aria-label="Previous message">‹</button><button data-walk="1" aria-label="Next message">›</button><input id="number" type="number" min="1" max="${size}" placeholder="of ${n(size)}" aria-label="Message number">` : '';
  $('mpick').innerHTML = some.map(button).join('') + walk;
}
const walk = way => M.begin.length && pick((picked + way + M.begin.length) % M.begin.length);

/* What the buttons of the section do, by their data attribute; all but `message` change how much of the open one is shown. */
const PRESSED = {
  message: i => openMessage(+i), walk: way => { walk(+way); $('mpick').querySelector(`[data-walk="${way}"]`).focus(); }, wait: row => go(W.begin[+row]),
  dump: view => { dump = view; }, more: bytes => { bytesShown += +bytes; }, all: most => { pickedLinks = +most; }, pieces: () => { allPieces = true; },
};
const REDRAWN = ['dump', 'more', 'all', 'pieces'];
function inspector() {
  if (!M.begin.length) {
    $('inspect').innerHTML = `<p class="none">No bytes passed between processes. ${count(new Set(LANES.map(l => l.process)).size, 'program')} ran.</p>`;
    return;
  }
  $('messages').addEventListener('click', e => {
    const button = e.target.closest('button');
    if (!button) return;
    if (button.dataset.copy) { copy(picked, button.dataset.copy, button); return; }
    const [what, value] = Object.entries(button.dataset)[0] ?? [];
    PRESSED[what]?.(value);
    if (REDRAWN.includes(what)) { show(picked); ($('inspect').querySelector(`[data-${what}="${value}"]`) ?? $('msg-h')).focus({ preventScroll: true }); }
  });
  $('mpick').addEventListener('change', e => { const i = M.number.indexOf(+e.target.value); if (i >= 0) pick(i); });
  const stuck = never.filter(i => !has(M.written[i]));
  let first = stuck.at(-1);
  if (first === undefined) { // the one that took longest
    first = 0;
    for (let i = 0, most = -1; i < M.begin.length; i++) { const all = M.held[i] + M.transit[i]; if (all > most) { most = all; first = i; } }
  }
  pick(first, false);
}
