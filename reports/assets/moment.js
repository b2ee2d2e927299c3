/* The panel under the timeline: everything at the cursor's time, redrawn whenever it moves. Who waits for whom
   (waitgraph.js), what lies in the channels, and who is where in which line of source. */
const BLOCKS = 8;  // channels that are shown; the rest is told in words
const NEARBY = END / 100; // an empty channel that was used this near is shown, too
const HOLDS = ['writer', 'kernel', 'reader']; // where bytes lie, as they go

/* Names in words: `a, b and c`, `a, b, c and 28 more`. */
function named(names, most = 6) {
  if (names.length <= most) return names.length > 1 ? `${names.slice(0, -1).join(', ')} and ${names.at(-1)}` : names.join('');
  return `${names.slice(0, most - 1).join(', ')} and ${n(names.length - most + 1)} more`;
}
const alive = (lane, t) => t >= born(lane) && t <= gone(lane);

/* ---- who waits for whom ------------------------------------------------------------------------------------------ */
/* lane → bytes in its own buffer that somebody waits for. */
function heldBack(waits, t) {
  const held = new Map();
  for (const channel of new Set(waits.filter(wait => ['nodata', 'ready'].includes(wait.reason) && has(wait.channel)).map(wait => wait.channel))) {
    const { writer } = contentsAt(channel, t);
    if (writer.count && has(M.writer[writer.rows[0]])) held.set(M.writer[writer.rows[0]], (held.get(M.writer[writer.rows[0]]) ?? 0) + writer.bytes);
  }
  return held;
}
/* Those who are not drawn, in words: `31 run: a, b …`. */
function besides(waits, drawn, hidden, t) {
  const waiting = new Map(waits.map(wait => [wait.lane, wait])), parts = [], shown = new Set([...drawn, ...hidden]);
  const rest = LANES.map((_, lane) => lane).filter(lane => alive(lane, t) && !shown.has(lane));
  const told = (lanes, one, many) => { if (lanes.length) parts.push(`${esc(named(lanes.map(who)))} ${lanes.length > 1 ? many : one}`); };
  if (hidden.length) parts.push(`${count(hidden.length, 'more thread')} of these (${esc(named(hidden.map(who), 4))})`);
  told(rest.filter(lane => !waiting.has(lane) && LANES[lane].traced), 'runs', 'run');
  told(rest.filter(lane => waiting.get(lane)?.reason === 'sleep'), 'sleeps', 'sleep');
  told(rest.filter(lane => waiting.has(lane) && waiting.get(lane).reason !== 'sleep'), 'waits for nobody that is known', 'wait for nobody that is known');
  told(rest.filter(lane => !waiting.has(lane) && !LANES[lane].traced), 'is not traced', 'are not traced');
  return parts.length ? `${parts.join('; ')}.` : '';
}
/* The situation in sentences, for who can't see it. */
const inWords = (waits, t) => [`At ${at(t)}:`, ...waits.slice(0, NODES).map(wait => `${who(wait.lane)} ${waitSaid(wait)}${wait.to.length ? `, which ${named(wait.to.map(one => who(one.lane)))} ${wait.open ? 'would have to end' : 'ends'}` : ''}.`),
  waits.length > NODES ? `${n(waits.length - NODES)} more wait.` : '', waits.length ? '' : 'Nobody waits.'].filter(Boolean).join(' ');

function drawGraph(waits, t) {
  const { svg, drawn, hidden } = waitGraph(waits, t, Math.floor($('moment-graph').clientWidth), heldBack(waits, t));
  const rest = besides(waits, drawn, hidden, t);
  $('moment-graph').innerHTML = `<figcaption class="sr">${esc(inWords(waits, t))}</figcaption>${svg}${svg ? '' : `<p class="none">${waits.length ? 'Nobody waits for another thread.' : 'Nobody waits.'}</p>`}${rest ? `<p class="dim">${svg ? 'Not drawn: ' : ''}${rest}</p>` : ''}`;
}

/* ---- what lies in the channels -------------------------------------------------------------------------------------- */
const USED = CHANNELS.map((ch, channel) => channel).filter(channel => CHANNELS[channel].messages || ['pipe', 'fifo', 'socket', 'queue'].includes(CHANNELS[channel].kind));
const sizeSaid = (count_, bytes) => bytes || !count_ ? `${n(bytes)} B` : count(count_, 'item'); // what passes between threads of one process has no bytes
/* The channels that matter at t, the most important first: { shown: [{ channel, places, awaited }], more, bytes, empty }. */
function channelsAt(waits, t) {
  const awaited = new Map();
  for (const wait of waits) if (has(wait.channel)) awaited.set(wait.channel, Math.max(awaited.get(wait.channel) ?? 0, partOf(wait, t) === 'knot' ? 2 : 1));
  const found = [];
  let empty = 0;
  for (const channel of USED) {
    const places = contentsAt(channel, t), whole = Object.values(places), full = whole.some(one => one.count), [before, after] = usedNear(channel, t);
    const open = has(picked) && M.channel[picked] === channel;
    const worth = (awaited.get(channel) ?? 0) * 4 + (full ? 3 : 0) + (open ? 2 : 0) + (Math.min(t - before, after - t) <= NEARBY ? 1 : 0);
    if (worth) found.push({ channel, places, awaited: awaited.get(channel) ?? 0, worth, bytes: whole.reduce((sum, one) => sum + one.bytes, 0), full, before });
    else empty++;
  }
  found.sort((a, b) => b.worth - a.worth || b.bytes - a.bytes || a.channel - b.channel);
  const more = found.slice(BLOCKS), hold = more.filter(one => one.full);
  return { shown: found.slice(0, BLOCKS).sort((a, b) => a.channel - b.channel), more: hold.length, bytes: hold.reduce((sum, one) => sum + one.bytes, 0), empty: empty + more.length - hold.length };
}

/* A buffer is gone with its process. */
const outlived = (lane, t) => has(lane) && LANES.every((one, k) => one.process !== LANES[lane].process || t > gone(k));
const lostAt = (i, place, t) => place !== 'kernel' && outlived(place === 'writer' ? M.writer[i] : M.reader[i], t);
/* The beginning of a payload: as text where it is text, else its bytes in hexadecimal. */
function glimpse(i) {
  const bytes = bytesOf(i).subarray(0, 80), odd = bytes.reduce((sum, value) => sum + (value < 9 || (value > 13 && value < 32) || value === 127), 0);
  if (odd * 10 <= bytes.length) return textOf(i).slice(0, 80);
  return [...bytes.subarray(0, 16)].map(value => value.toString(16).padStart(2, '0')).join(' ') + (M.size[i] > 16 ? ' …' : '');
}
function segmentOf(i, place, t) {
  const text = glimpse(i), lost = lostAt(i, place, t), title = `Message ${M.number[i]}: ${sizeSaid(1, M.size[i])} from ${writerOf(i)}${lost ? ', lost with its program' : ''}`;
  return `<button class="seg ${place}${lost ? ' lost' : ''}" style="flex-grow:${Math.max(1, Math.log2(M.size[i] + 2)).toFixed(2)}" data-message="${i}" aria-pressed="${i === picked}" title="${esc(title)}"><b>${sizeSaid(1, M.size[i])}</b>${text ? ` <span>${esc(text)}</span>` : ''}</button>`;
}
const bufferOf = (ch, access) => { const name = endOf(ch, access); return name === 'nobody' ? (access === 'w' ? 'writer’s' : 'reader’s') : `${name}’s`; };
/* One of the three places of a channel; `waits`: those on the channel. */
function holdOf(channel, place, { rows, count: many, bytes }, t, waits, alone) {
  const ch = CHANNELS[channel], unknown = place === 'reader' ? ch.unseen.r : place === 'writer' ? ch.unseen.w : null;
  const cut = waits.find(wait => wait.reason === 'noroom'), writing = place === 'writer' && cut && rows.some(i => M.writer[i] === cut.lane);
  const name = { kernel: `in the ${ch.kind}`, writer: writing ? `in ${who(cut.lane)}’s write` : `${bufferOf(ch, 'w')} buffer`, reader: `${bufferOf(ch, 'r')} buffer` }[place];
  const size = !many ? '' : place === 'kernel' && ch.capacity && bytes ? `${n(bytes)} of ${n(ch.capacity)} B` : sizeSaid(many, bytes);
  const more = many > rows.length ? `<span class="more">and ${n(many - rows.length)} more</span>` : '';
  // a write that waits for room for good has put its beginning into the channel: the message does not tell, the cut does
  const full = cut?.open && place === 'kernel' && !many ? (ch.left ? `full: ${n(ch.left)} B of what is being written` : 'full') : '';
  const none = full || (unknown && !many ? 'not traced' : 'empty');
  return `<div class="hold ${place}${many ? '' : ' void'}${alone ? ' alone' : ''}"><div class="of"><span title="${esc(name)}">${esc(name)}</span> <span>${size}</span></div><div class="row">${many ? more + [...rows].reverse().map(i => segmentOf(i, place, t)).join('') : `<span class="none">${none}</span>`}</div></div>`;
}
/* `parent waits for data; a and b wait for room`. */
function awaitedBy(waits) {
  const by = new Map();
  for (const wait of waits) by.set(wait.reason, [...by.get(wait.reason) ?? [], who(wait.lane)]);
  return [...by].map(([reason, names]) => `${named(names, 3)} ${names.length > 1 ? MODEL.reasons[reason].replace(/^waits/, 'wait') : MODEL.reasons[reason]}`).join('; ');
}
/* Who wrote or read a channel, or else could. */
const endOf = (ch, access) => ch.unseen[access] ?? (fewOf(access === 'w' ? ch.writers : ch.readers) || named([...new Set(ch.open[access].map(one => one.replace(/ fd \d+$/, '')))], 3) || 'nobody');
function drawChannels(waits, t) {
  const { shown, more, bytes, empty } = channelsAt(waits, t), waiters = new Map();
  for (const wait of waits) if (has(wait.channel)) waiters.set(wait.channel, [...waiters.get(wait.channel) ?? [], wait]);
  const blocks = [], hollow = [];
  for (const { channel, places, awaited, before } of shown) {
    const ch = CHANNELS[channel], some = waiters.get(channel) ?? [], said = some.length ? awaitedBy(some) : isFinite(before) ? `last used ${dur(t - before)} before` : 'not used yet';
    const about = `<div class="about"><b>${esc(ch.name)}</b><span class="${awaited === 2 ? 'red' : 'dim'}">${esc(said)}</span>`;
    const full = some.some(wait => wait.open && wait.reason === 'noroom'), ends = [endOf(ch, 'w'), endOf(ch, 'r')];
    if (!full && HOLDS.every(place => !places[place].count)) { // nothing to draw: two lines
      hollow.push(`<div class="channel" data-channel="${channel}">${about}<span class="none">${ch.unseen.w || ch.unseen.r ? 'nothing known to lie in it' : 'empty'}${ends.every(one => one === 'nobody') ? '' : ` · ${esc(ends.join(' → '))}`}</span></div></div>`);
      continue;
    }
    const alone = ch.kind === 'queue' && !places.writer.count && !places.reader.count; // within a process nothing is buffered twice
    blocks.push(`<div class="channel full" data-channel="${channel}">${about}</div>${(alone ? ['kernel'] : HOLDS).map(place => holdOf(channel, place, places[place], t, some, alone)).join('')}</div>`);
  }
  if (hollow.length) blocks.push(`<div class="hollow">${hollow.join('')}</div>`);
  const rest = [more ? `${count(more, 'more channel')} ${more > 1 ? 'hold' : 'holds'} ${n(bytes)} B` : '', empty && shown.length ? `${more ? n(empty) : count(empty, 'more channel')} ${empty > 1 ? 'are' : 'is'} empty` : ''].filter(Boolean).join('; ');
  const nothing = USED.length ? 'Nothing lies in any channel, and none was used near this moment.' : 'No descriptor led to a channel between threads.';
  $('moment-channels').innerHTML = (blocks.join('') || `<p class="none">${nothing}</p>`) + (rest ? `<p class="dim">And ${rest}.</p>` : '');
}

/* ---- who is where -------------------------------------------------------------------------------------------------- */
function drawWhere(waits, t) {
  const waiting = new Map(waits.map(wait => [wait.lane, wait])), lanes = LANES.map((_, lane) => lane).filter(lane => alive(lane, t));
  const items = lanes.map(lane => {
    const wait = waiting.get(lane), part = partOf(wait, t), state = stateAt(lane, t), spot = wait ? null : lastSeen(lane, t);
    const reason = wait?.reason ?? state.reason, site = wait ? wait.site : spot?.site, since = wait?.since ?? state.since;
    const did = wait ? waitSaid(wait) : LANES[lane].traced ? 'runs' : 'not traced', ever = part && MODEL.verdict === 'deadlock' ? ', for ever' : '';
    const text = has(site) ? `<div class="at"><code>${esc(place(site))}</code>${SITES[site].text ? ` <code class="text">${esc(SITES[site].text.trim())}</code>` : ''}</div>` : '';
    const note = wait ? (wait.row < 0 ? 'seen from outside' : wait.call ? `in ${wait.call}` : '') : spot ? `last seen ${t > spot.time ? `${dur(t - spot.time)} before` : 'just here'}` : '';
    const name = wait && wait.row >= 0 ? `<button class="name" data-wait="${wait.row}" title="Its row in the table of waits">${esc(who(lane))}</button>` : `<b>${esc(who(lane))}</b>`;
    return `<li class="${part}" data-lane="${lane}">${swatch(reason)}<div>${name} <span class="did">${esc(did)}</span> <span class="dim">for ${dur(t - since)}${ever}${note ? ` · ${esc(note)}` : ''}</span>${text}</div></li>`;
  });
  const early = LANES.filter((_, lane) => t < born(lane)).length, late = LANES.filter((_, lane) => t > gone(lane)).length;
  const absent = [early ? `${n(early)} ${early > 1 ? 'have' : 'has'} not begun` : '', late ? `${n(late)} ${late > 1 ? 'have' : 'has'} ended` : ''].filter(Boolean).join(', ');
  $('moment-where').innerHTML = `<ol>${items.join('')}</ol>${absent ? `<p class="dim">${items.length ? '' : 'Nobody is there: '}${absent}.</p>` : ''}`;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */
let announced = 0, announcing = null; // when the situation was last said aloud
function announce(waits, t) { // what changes many times a second is not read out each time
  clearTimeout(announcing);
  announcing = setTimeout(() => { announced = performance.now(); $('moment-said').textContent = inWords(waits, t); }, Math.max(500, 2500 - (performance.now() - announced)));
}
let shownAs = '';
function drawMoment(force) {
  const state = `${now} ${picked} ${$('moment-panel').clientWidth} ${digits()}`;
  if (!M || !SEEN || (state === shownAs && !force)) return;
  shownAs = state;
  const began = performance.now(), waits = waitsAt(now), focus = document.activeElement?.closest('#moment-channels [data-message]')?.dataset.message;
  $('moment-h').textContent = `At ${at(now, digits())}`;
  const closed = formedBy(now) && MODEL.core.length ? dur(now - MODEL.formed) : '', knot = !closed ? '' : MODEL.verdict === 'deadlock' ? `the deadlock closed ${now > MODEL.formed ? `${closed} before` : 'just now'}` : `it has stood still for ${closed}`;
  const there = LANES.filter((_, lane) => alive(lane, now)).length;
  $('moment-sum').textContent = [waits.length ? `${n(waits.length)} of ${count(there, 'thread')} ${waits.length > 1 ? 'wait' : 'waits'}` : `${count(there, 'thread')}, none waits`, knot].filter(Boolean).join(', ');
  drawGraph(waits, now);
  drawChannels(waits, now);
  drawWhere(waits, now);
  if (focus !== undefined) document.querySelector(`#moment-channels [data-message="${focus}"]`)?.focus();
  announce(waits, now);
  window.ipctrace.moment = performance.now() - began;
}
async function startMoment() {
  SEEN = await load('seen');
  $('moment-panel').classList.toggle('bare', !M.begin.length && !W.begin.length && !SEEN.begin.length);
  heed('time', () => drawMoment());
  heed('message', () => drawMoment());
  (window.requestIdleCallback ?? setTimeout)(() => sightings()); // so that the first step is no slower than the others
  $('moment-panel').addEventListener('click', e => { // a card or a name leads to its wait
    const row = e.target.closest('[data-wait]')?.dataset.wait;
    if (row === undefined) return;
    reveal('Blocking', +row);
    toMarked();
  });
  $('moment-channels').addEventListener('click', e => { const one = e.target.closest('[data-message]'); if (one) pick(+one.dataset.message); });
}
