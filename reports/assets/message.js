/* The message inspector: one message's times, bytes, place in its channel, and the lines that wrote and read it. */
let picked = null;
const CHIPS = 12;

function latency(i) {
  const stuck = !has(M.written[i]), unread = !stuck && !has(M.read[i]);
  if (M.unseen[i]) return `<p class="none">${M.unseen[i] === 1 ? 'Its writer' : 'Its reader'} is not traced: how long it was under way is not known.</p>`;
  const parts = stuck ? [['writer’s buffer', END - M.begin[i], 'liquid2', true]]
    : [['writer’s buffer', M.held[i], 'liquid2'], [channelName(M.channel[i]), unread ? END - M.written[i] : Math.max(0, M.transit[i]), 'accent', unread]];
  const all = parts.reduce((a, p) => a + p[1], 0) || 1;
  return `<div class="lat">${parts.filter(p => p[1] > 0).map(p => `<i class="${p[3] ? 'open' : ''}" style="--c:var(--${p[2]});flex:${(p[1] / all).toFixed(6)}"></i>`).join('')}</div>
    <div class="lk">${parts.map(p => `<span><i style="--c:var(--${p[2]})"></i>${esc(p[0])} <b>${p[1] > 0 ? dur(p[1]) : 'none'}${p[3] ? ', and counting' : ''}</b></span>`).join('')}${stuck ? '<span class="dim">channel: never reached · reader: never reached</span>' : unread ? '<span class="dim">reader: never reached</span>' : ''}</div>`;
}

function hexdump(i) {
  const bytes = bytesOf(i), width = innerWidth <= 560 ? 8 : 16, rows = [], most = 16 * width;
  if (!bytes.length) return `<p class="none">${M.size[i] ? 'Payload not recorded (<code>--payload none</code>). Lengths and times are exact.' : 'No bytes.'}</p>`;
  for (let k = 0; k < Math.min(bytes.length, most); k += width) {
    const some = [...bytes.subarray(k, k + width)], offset = (has(M.first[i]) ? M.first[i] : 0) + k;
    const hex = some.map(v => v.toString(16).padStart(2, '0')).join(' ').replace(/^(.{23}) /, '$1  ').padEnd(width * 3);
    rows.push(`<tr><td>${offset.toString(16).padStart(4, '0')}<td>${hex}<td>${esc(some.map(v => v === 10 ? '⏎' : v < 32 || v > 126 ? '·' : String.fromCharCode(v)).join(''))}`);
  }
  const more = M.size[i] - Math.min(bytes.length, most);
  return `<div class="scroll"><table class="hex">${rows.join('')}</table></div>${more > 0 ? `<p class="dim">${bytes.length > most ? `The first ${n(most)} of ${count(M.size[i], 'byte')} are shown.` : `The first ${n(bytes.length)} of ${count(M.size[i], 'byte')} were kept.`}</p>` : ''}`;
}

/* Where its bytes lie among its channel's: its neighbours on both sides. */
function ranges(i) {
  const { rows } = traffic[M.channel[i]], k = seek(rows, i), some = [...rows.subarray(Math.max(0, k - 12), k + 13)].filter(j => has(M.first[j]));
  if (!has(M.first[i])) return '';
  const from = Math.min(...some.map(j => M.first[j])), to = Math.max(...some.map(j => M.first[j] + M.size[j])), scale = 500 / Math.max(1, to - from);
  const merge = M.merged[i] ? 'a read got it together with bytes of another write' : M.ambiguous[i] ? 'several writers: whose bytes these are is not certain' : M.reads[i] > 1 ? `read in ${M.reads[i]} pieces` : '';
  const never = has(M.written[i]) ? '' : `never written: ${channelName(M.channel[i])} has carried ${count(CHANNELS[M.channel[i]].written ?? 0, 'byte')} in all`;
  return `<svg class="ranges" viewBox="0 0 500 14" preserveAspectRatio="none" aria-hidden="true">${some.map(j => `<rect x="${(M.first[j] - from) * scale + 0.5}" y="1" width="${Math.max(1, M.size[j] * scale - 2)}" height="12" rx="2" fill="var(--${has(M.written[j]) ? 'accent' : 'liquid'})" opacity="${j === i ? 1 : 0.3}"/>`).join('')}</svg>
    <div class="lk"><span>bytes [${n(M.first[i])}, ${n(M.first[i] + M.size[i])}) of ${esc(channelName(M.channel[i]))}</span><span class="dim">${esc(never || merge || (has(M.read[i]) ? 'one write, one read: nothing merged or split' : ''))}</span></div>`;
}

/* The wait that a lane is in for good, as a row of W, or -1. */
const openWait = lane => { const row = laneWaits[lane].row.at(-1); return row !== undefined && W.open[row] ? row : -1; };

const sourceBlock = (s, extra = '') => has(s) ? `<div class="src"><small>${esc(place(s))}${extra ? ` · ${extra}` : ''}</small>\n${esc((SITES[s].text ?? 'source not kept').trim())}</div>` : '';

function pick(i, redraw = true) {
  picked = i;
  const stuck = !has(M.written[i]), unread = !has(M.read[i]), total = (has(M.read[i]) ? M.read[i] : END) - M.begin[i];
  const title = stuck ? `${count(M.size[i], 'byte')} that never left ${esc(writerOf(i))}` : unread ? `${count(M.size[i], 'byte')} from ${esc(writerOf(i))}, never read`
    : `${count(M.size[i], 'byte')}, ${esc(writerOf(i))} → ${esc(readerOf(i))}${M.unseen[i] ? '' : `, ${dur(total)}`}`;
  const note = stuck ? (MODEL.stuck.some(one => one.channel === M.channel[i]) && MODEL.verdict === 'deadlock' ? 'Never left its writer. What waits for it waits for ever.' : 'Never left its writer.')
    : M.held[i] > M.transit[i] && M.held[i] > 1e6 ? `Waited ${dur(M.held[i])} in its writer’s own buffer.` : M.transit[i] > 1e6 ? `Lay ${dur(M.transit[i])} in ${esc(channelName(M.channel[i]))}.` : M.held[i] > 0 ? 'Went through a buffer, and on at once.' : 'Written past any buffer, straight into the channel.';
  const waiting = LANES.findIndex((_, lane) => openWait(lane) >= 0 && W.channel[openWait(lane)] === M.channel[i]), awaiting = stuck && waiting >= 0 ? openWait(waiting) : -1;
  const instead = stuck && has(M.writer[i]) ? openWait(M.writer[i]) : -1;
  const flushed = !stuck && M.held[i] > 0 && has(M.write_site[i]) && M.write_site[i] !== M.accept_site[i];
  $('inspect').innerHTML = `<div class="msg"><div><h3>${title}</h3>${M.unseen[i] ? '' : `<p class="dim">${note}</p>`}${latency(i)}</div>
    <div>${ranges(i)}${hexdump(i)}</div>
    <div>${M.unseen[i] === 1 ? '<p class="dim">Written by a program whose source is not known.</p>' : `<p class="dim">Written at ${at(M.begin[i])}</p>${sourceBlock(M.accept_site[i])}`}${instead >= 0 && has(W.site[instead]) ? `<p class="dim">Not flushed before</p>${sourceBlock(W.site[instead], `${esc(MODEL.labels[W.label[instead]])}, since ${at(W.begin[instead])}`)}` : ''}${flushed ? `<p class="dim">Flushed at ${at(M.written[i])} by</p>${sourceBlock(M.write_site[i])}` : ''}</div>
    <div>${awaiting >= 0 && has(W.site[awaiting]) ? `<p class="dim">Awaited since ${at(W.begin[awaiting])} by ${esc(who(waiting))}</p>${sourceBlock(W.site[awaiting])}` : M.unseen[i] === 2 ? '<p class="dim">Read by a program whose source is not known.</p>' : unread ? `<p class="dim">${stuck ? 'Not flushed, so not read' : 'Not read'}</p>` : `<p class="dim">Read at ${at(M.read[i])}</p>${sourceBlock(M.read_site[i]) || '<p class="none">The reader’s source is not known.</p>'}`}</div></div>`;
  chips();
  tell('message');
  if (redraw && G) draw();
}

/* Few messages: a button each. Many: the stuck ones, and a number to type. */
function chips() {
  const size = M.begin.length, some = size <= CHIPS ? [...Array(size).keys()] : [...new Set([...never.filter(i => !has(M.written[i])).slice(0, 4), picked])].sort((a, b) => a - b);
  const button = i => `<button data-message="${i}" class="${has(M.written[i]) ? '' : 'stuck'}" aria-pressed="${i === picked}">${M.number[i]} · ${esc(channelName(M.channel[i]))} · ${n(M.size[i])} B</button>`;
  const walk = size > CHIPS ? `<button data-walk="-1" aria-label="Previous message">‹</button><button data-walk="1" aria-label="Next message">›</button><input id="number" type="number" min="1" max="${size}" placeholder="of ${n(size)}" aria-label="Message number">` : '';
  $('mpick').innerHTML = some.map(button).join('') + walk;
}
const walk = way => M.begin.length && pick((picked + way + M.begin.length) % M.begin.length);

function inspector() {
  if (!M.begin.length) {
    $('inspect').innerHTML = `<p class="none">No bytes passed between processes. ${count(new Set(LANES.map(l => l.process)).size, 'program')} ran.</p>`;
    return;
  }
  $('mpick').addEventListener('click', e => { const d = e.target.dataset; if (d.message) pick(+d.message); else if (d.walk) walk(+d.walk); });
  $('mpick').addEventListener('change', e => { const i = M.number.indexOf(+e.target.value); if (i >= 0) pick(i); });
  const stuck = never.filter(i => !has(M.written[i]));
  let first = stuck.at(-1);
  if (first === undefined) { // the one that took longest
    first = 0;
    for (let i = 0, most = -1; i < M.begin.length; i++) { const all = M.held[i] + M.transit[i]; if (all > most) { most = all; first = i; } }
  }
  pick(first, false);
}
