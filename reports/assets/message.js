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
  unread: i => `${thing(i)}, ${esc(writerOf(i))} → ${esc(readerOf(i))}, not all taken from its buffer`,
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
  const held = { held: writerEnd - M.begin[i], leaving: 0 }[stage] ?? M.held[i];
  const carried = { leaving: END - M.begin[i], lying: END - M.written[i] }[stage] ?? Math.max(0, M.transit[i]);
  const places = [ // `until`: when bytes that are still there could be no longer
    { name: bufferName(i), length: held, colour: 'liquid2', still: stage === 'held', until: writerEnd },
    { name: channelName(M.channel[i]), length: carried, colour: 'accent', still: stage === 'leaving' || stage === 'lying', until: END },
    { name: 'the reader’s buffer', length: stage === 'unread' ? readerEnd - M.read[i] : M.unread[i], colour: 'child', still: stage === 'unread', until: readerEnd },
  ].filter((_, k) => !isItem(i) || k === 1); // an item lies in its queue, and nowhere else
  const far = isItem(i) ? 1 : { held: 1, leaving: 2, lost: 1, lying: 2, unread: 3, done: 3 }[stage], reached = places.slice(0, far);
  const all = reached.reduce((sum, p) => sum + Math.max(0, p.length || 0), 0);
  const bar = p => `<i class="${p.still ? 'open' : ''}" style="--c:var(--${p.colour});flex:${(p.length / all).toFixed(6)}"></i>`;
  const words = p => `${p.length > 0 ? dur(p.length) : 'none'}${!p.still ? '' : p.until < END ? ', until it ended' : ', and counting'}`;
  const never = stage === 'lost' ? ['the channel lost it'] : places.slice(far).map(p => `${esc(p.name)}: never reached`);
  return `${all > 0 ? `<div class="lat">${reached.filter(p => p.length > 0).map(bar).join('')}</div>` : ''}
    <div class="lk">${reached.map(p => `<span><i style="--c:var(--${p.colour})"></i>${esc(p.name)} <b>${words(p)}</b></span>`).join('')}${never.length ? `<span class="dim">${never.join(' · ')}</span>` : ''}</div>`;
}

/* ---- its place in the channel ------------------------------------------------------------------------------------------- */
/* Where its bytes lie among its channel's: its neighbours on both sides. */
function ranges(i) {
  if (!has(M.first[i])) {
    const why = isItem(i) ? 'Items have a place in their queue, not in a stream of bytes.'
      : isDatagram(i) ? 'A datagram comes whole or not at all: it has no place in a stream of bytes.' : `Where in ${esc(channelName(M.channel[i]))} its bytes lie is not known.`;
    return `<p class="dim">${why}</p>`;
  }
  const { rows } = traffic[M.channel[i]], k = seek(rows, i), some = [...rows.subarray(Math.max(0, k - 12), k + 13)].filter(j => has(M.first[j]));
  const from = Math.min(...some.map(j => M.first[j])), to = Math.max(...some.map(j => M.first[j] + M.size[j])), scale = 500 / Math.max(1, to - from);
  const rect = j => `<rect x="${(M.first[j] - from) * scale + 0.5}" y="1" width="${Math.max(1, M.size[j] * scale - 2)}" height="12" rx="2" fill="var(--${has(M.written[j]) || M.leaving[j] ? 'accent' : 'liquid'})" opacity="${j === i ? 1 : 0.3}"/>`;
  return `<svg class="ranges" viewBox="0 0 500 14" preserveAspectRatio="none" aria-hidden="true">${some.map(rect).join('')}</svg>
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
  if (M.unseen[i]) return M.unseen[i] === 2 ? 'its reader is not traced: how it was read is not known' : 'its writer is not traced: how it was written is not known';
  return has(M.read[i]) ? 'one write, one read: nothing merged or split' : 'one write';
}
/* Which write carried and which read got which of its bytes; where it was one and one, the lines beside say it. */
function piecesTable(i, all) {
  const pieces = piecesOf(i);
  if (pieces.length < 2) return '';
  const moved = (c, none) => {
    if (c < 0) return `<span class="dim">${none}</span>`;
    const done = has(C.length[c]);
    return `${at(C.begin[c] + (done ? C.length[c] : 0), 6)} ${call(MODEL.calls[C.label[c]])} <span class="dim">${esc(place(C.site[c]))}${done ? '' : ', has not returned'}</span>`;
  };
  const side = (key, k, none) => k && pieces[k][key] >= 0 && pieces[k - 1][key] === pieces[k][key] ? `<span class="dim">same ${key}</span>` : moved(pieces[k][key], none);
  const shown = pieces.slice(0, all ? 2000 : PIECES), rest = pieces.length - shown.length;
  const rows = shown.map((p, k) => `<tr><td>[${n(p.from)}, ${n(p.to)})<td>${side('write', k, M.unseen[i] === 1 ? 'not traced' : 'never written')}<td>${side('read', k, M.unseen[i] === 2 ? 'not traced' : 'nobody')}`);
  const more = rest > 0 ? `<p class="dim">${all ? `and ${n(rest)} more pieces` : `<button data-pieces="1">Show the other ${n(rest)} pieces</button>`}</p>` : '';
  return `<div class="full"><h4>Which write and which read moved which of its bytes</h4>
    <div class="scroll" tabindex="0" role="region" aria-label="Its pieces"><table class="data pieces"><thead><tr><th>its bytes<th>written by<th>read by</thead><tbody>${rows.join('')}</tbody></table></div>${more}</div>`;
}

/* ---- the lines of both sides ---------------------------------------------------------------------------------------------- */
/* The wait that a lane is in for good, as a row of W, or -1. */
const openWait = lane => { const row = laneWaits[lane].row.at(-1); return row !== undefined && W.open[row] ? row : -1; };
const sourceBlock = (s, extra = '') => has(s) ? `<div class="src"><small>${esc(place(s))}${extra ? ` · ${extra}` : ''}</small>\n${esc((SITES[s].text ?? 'source not kept').trim())}</div>` : '';
const step = (words, block) => `<p class="dim">${words}</p>${block}`;
const call = op => op ? `<span class="mono">${esc(op)}</span>` : '';
const opOf = i => M.op[i] ? `${MODEL.ops[M.op[i]]}()` : '';

/* A moment of message i, with digits enough to tell its moments apart. */
const when = (i, t) => at(t, M.received[i] - M.begin[i] < 1e7 ? 6 : 4);
function writerSide(i) {
  if (M.unseen[i] === 1) return `<p class="dim">${esc(writerOf(i))} wrote it: its source is not known.</p>`;
  const stage = stageOf(i), op = opOf(i) ? ` by ${call(opOf(i))}` : '', said = [step(`Handed over at ${when(i, M.begin[i])}${op}`, sourceBlock(M.accept_site[i]) || '<p class="none">Its line is not known.</p>')];
  const instead = stage === 'held' && has(M.writer[i]) ? openWait(M.writer[i]) : -1;
  if (instead >= 0 && has(W.site[instead])) said.push(step('Not flushed before', sourceBlock(W.site[instead], `${esc(MODEL.labels[W.label[instead]])}, since ${at(W.begin[instead])}`)));
  if (stage === 'leaving') said.push('<p class="dim">Its write has not returned: what there was room for may lie in the channel.</p>');
  if (has(M.written[i]) && M.held[i] > 0) said.push(has(M.write_site[i]) && place(M.write_site[i]) !== place(M.accept_site[i]) ? step(`Written at ${when(i, M.written[i])} from`, sourceBlock(M.write_site[i])) : `<p class="dim">Written at ${when(i, M.written[i])}${has(M.write_site[i]) ? ', from the same line' : ''}</p>`);
  return said.join('');
}
const UNREAD = { held: 'Not flushed, so not read', leaving: 'Not read', lost: 'Lost: the receiver got a later one, and never this', lying: 'Nobody read it' };
function readerSide(i) {
  const stage = stageOf(i), waiting = LANES.findIndex((_, lane) => openWait(lane) >= 0 && W.channel[openWait(lane)] === M.channel[i]), awaiting = waiting >= 0 ? openWait(waiting) : -1;
  if (M.unseen[i] === 2) return `<p class="dim">${esc(readerOf(i))} reads ${esc(channelName(M.channel[i]))}: its source is not known.</p>`;
  if (!has(M.read[i])) {
    const part = piecesOf(i).reduce((sum, p) => sum + (p.read >= 0 ? p.to - p.from : 0), 0), waited = stage === 'held' && awaiting >= 0 && has(W.site[awaiting]);
    return `<p class="dim">${part ? `${n(part)} of its bytes were read` : isItem(i) ? 'Nobody got it' : UNREAD[stage]}</p>${part ? sourceBlock(M.read_site[i]) : ''}${waited
      ? step(`Awaited since ${at(W.begin[awaiting])} by ${esc(who(waiting))}`, sourceBlock(W.site[awaiting])) : ''}`;
  }
  const op = MODEL.receives[M.receive[i]], apart = M.unread[i] > 0 && has(M.receive_site[i]) && place(M.receive_site[i]) !== place(M.read_site[i]);
  const said = [step(`${isItem(i) ? 'Got' : 'Read'} at ${when(i, M.read[i])}${op && !apart ? ` by ${call(op)}` : ''}`, sourceBlock(M.read_site[i]) || '<p class="none">The reader’s source is not known.</p>')];
  if (apart) said.push(step(`Taken from its buffer at ${when(i, M.received[i])} by ${call(op)}`, sourceBlock(M.receive_site[i])));
  if (stage === 'unread') said.push('<p class="dim">Its end still lies in its reader’s buffer: the program never asked for that.</p>');
  return said.join('');
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------ */
/* What was most of its time, in a sentence. */
function note(i) {
  const channel = esc(channelName(M.channel[i])), stage = stageOf(i), carried = Math.max(0, M.transit[i]);
  const frozen = MODEL.verdict === 'deadlock' && MODEL.stuck.some(one => one.channel === M.channel[i]);
  if (M.unseen[i]) return '';
  if (stage === 'held') return `Never left its writer.${frozen ? ' What waits for it waits for ever.' : ''}`;
  if (stage === 'leaving') return `Its write has not returned: ${channel} has no room for all of it.`;
  if (stage === 'lost') return `${count(M.lost[i], 'byte')} that nobody will ever get.`;
  if (stage === 'lying') return `Still in ${channel}.`;
  if (stage === 'unread') return 'Its end is still in its reader’s buffer.';
  if (isItem(i)) return `Was in ${channel} for ${dur(carried)}.`;
  const cut = M.lost[i] ? ` ${count(M.lost[i], 'byte')} of it were cut off: the receiver asked for fewer.` : '', most = Math.max(M.held[i], carried, M.unread[i]);
  if (most <= 1e6) return (M.held[i] > 0 ? 'Went through a buffer, and on at once.' : 'Written past any buffer, straight into the channel.') + cut;
  if (most === M.unread[i]) return `Lay ${dur(most)} in its reader’s buffer, before the program asked for it.${cut}`;
  return (most === carried ? `Lay ${dur(most)} in ${channel}.` : `Waited ${dur(most)} in ${esc(bufferName(i).replace('the ', 'its ').replace('writer’s buffer', 'writer’s own buffer'))}.`) + cut;
}
function tags(i) {
  const pieces = piecesOf(i), { written } = together(i);
  const said = [
    [racesOf(i).length, 'raced'], [M.merged[i], 'merged'], [pieces.some(p => p.from > 0), 'split'],
    [written.length, M.held[i] > 0 ? 'flushed with others' : 'written with others'],
    [M.ambiguous[i], 'ambiguous'], [M.lost[i], 'lost bytes'], [M.unseen[i], 'end not traced'],
  ];
  return said.filter(([is]) => is).map(([, word]) => `<span class="tag">${word}</span>`).join('');
}
/* `print() → input() on pipe A` */
function opLine(i) {
  const from = opOf(i) || (M.unseen[i] === 1 ? writerOf(i) : '?'), to = MODEL.receives[M.receive[i]] || (M.unseen[i] === 2 ? readerOf(i) : '');
  const { name, kind, path } = CHANNELS[M.channel[i]], where = kind === 'fifo' && path ? ` ${call(path)}` : '';
  return `<p class="ops">Message ${n(M.number[i])} · ${call(from)}${to ? ` → ${call(to)}` : ''} · ${esc(name)}${where} ${tags(i)}</p>`;
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
  const button = i => `<button data-message="${i}" class="${has(M.written[i]) ? '' : 'stuck'}" aria-pressed="${i === picked}">${M.number[i]} · ${esc(shortName(M.channel[i]))} · ${sizeWords(i)}</button>`;
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
