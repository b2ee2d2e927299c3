/* Hover and click on the timeline, by our own hit test: x is linear and y is pixels, so a bisect a lane is exact. */
const code = s => has(s) && SITES[s].text ? `<span class="code">${esc(SITES[s].text.trim())}</span>` : '';
const siteLine = (word, s) => has(s) ? `${word} ${esc(place(s))}${code(s)}` : '';

/* What lies at a point: { html, message?: row, wait?: row, channel?: number }, or undefined. Arrows first, then bars, then strips. */
function hit(px, py) {
  const t = unX(px);
  let nearest = -1, least = 6; // px
  for (const i of near(px)) for (const ends of arrowsOf(i)) {
    const [x0, y0, x1, y1] = ends, ax = X(x0), bx = X(x1), length = (bx - ax) ** 2 + (y1 - y0) ** 2;
    const u = Math.max(0, Math.min(1, ((px - ax) * (bx - ax) + (py - y0) * (y1 - y0)) / length));
    const away = Math.hypot(px - ax - u * (bx - ax), py - y0 - u * (y1 - y0));
    if (away < least) [nearest, least] = [i, away];
  }
  if (nearest >= 0) return { message: nearest, html: messageTip(nearest) };
  for (const i of never) { // the stub of one that never left
    const l = G.lanes[M.writer[i]];
    if (l && Math.abs(X(has(M.written[i]) ? M.written[i] : M.begin[i]) - px) < 7 && py > l.bar + l.barH && py < l.bar + l.barH + 14) return { message: i, html: messageTip(i) };
  }
  const row = G.rows.find(l => py >= l.y && py < l.y + l.h);
  if (row) {
    const mark = shownMarks.find(k => G.lanes[K.lane[k]] === row && Math.abs(X(K.time[k]) - px) < 7 && (G.tight || (MARKS[K.kind[k]] === 'out' ? py > row.bar + row.barH - 3 : py < row.bar)));
    if (mark !== undefined) return { mark, html: markTip(mark) };
    return row.folded ? groupTip(row, t) : laneTip(row.lanes[0], t);
  }
  for (const c of MODEL.strips) {
    const s = G.strips[c];
    if (py >= s.y - 4 && py < s.y + s.h + 4) return { channel: c, html: stripTip(c, t) };
  }
}
/* The messages drawn as arrows that could pass a pixel. */
function near(px) {
  const some = [], t0 = unX(px - 8), t1 = unX(px + 8);
  if (shownArrows) for (const i of shownArrows) if (M.written[i] <= t1 && (M.read[i] >= t0 || M.received[i] >= t0)) some.push(i);
  return some;
}
let shownArrows = null, shownMarks = [];
const clipped = i => { const text = textOf(i); return text.length > 240 ? `${text.slice(0, 240)}…` : text; };

function messageTip(i) {
  const stuck = !has(M.written[i]), times = M.leaving[i] ? `its write has not returned since ${at(M.begin[i])}` : stuck ? `in the writer’s buffer since ${at(M.begin[i])}, never flushed`
    : M.unseen[i] ? 'one end is not traced: its time under way is not known'
    : `${M.held[i] > 0 ? `${dur(M.held[i])} in the writer’s buffer, ` : ''}${has(M.transit[i]) ? `${dur(Math.max(0, M.transit[i]))} in ${esc(channelName(M.channel[i]))}` : 'never read'}`;
  const others = mergedWith(i), pieces = M.reads[i] > 1 ? `<br>split: ${n(M.reads[i])} reads got its bytes` : '';
  const merged = others > 1 ? `<br>merged: one read got ${n(others)} writes` : M.merged[i] ? '<br>merged: a read got it with bytes of another write' : '';
  return `<b>Message ${M.number[i]}: ${count(M.size[i], 'byte')}, ${esc(writerOf(i))} → ${stuck ? 'nobody yet' : esc(readerOf(i))}</b>${M.kept[i] ? `<span class="mono">${esc(clipped(i))}</span><br>` : ''}<span class="dim">${times}${merged}${pieces}</span>`
    + `<div>${[siteLine('written at', M.accept_site[i]), siteLine('read at', M.read_site[i])].filter(Boolean).join('')}</div>`;
}
/* How many of a row's threads do what. */
function groupTip(row, t) {
  const states = statesAt(row, t).map(([reason, lanes]) => `${n(lanes)} ${MODEL.reasons[reason]}`);
  return { html: `<b>${esc(row.name)}: ${sizeOf(row)}</b>${states.join('<br>') || 'none lives'}<br><span class="dim">at ${at(t, digits())}</span>` };
}
function laneTip(lane, t) {
  const s = stateAt(lane, t);
  if (!s) return undefined;
  const length = `${at(s.since)}, ${dur(s.until - s.since)}`;
  if (s.row < 0) return { html: `<b>${esc(who(lane))} ${s.reason === 'run' ? 'runs' : 'is not traced'}</b><span class="dim">${length}</span>` };
  const on = has(W.channel[s.row]) ? ` on ${esc(channelName(W.channel[s.row]))}` : '', by = has(W.by[s.row]) ? `<br>${W.open[s.row] ? 'waits for' : 'ended by'} ${esc(who(W.by[s.row]))}` : '';
  return { wait: s.row, html: `<b>${esc(who(lane))} ${MODEL.reasons[s.reason]}</b>${esc(MODEL.labels[W.label[s.row]] ?? '')}${on}${by}<br><span class="dim">${length}${W.open[s.row] ? ', never ended' : ''}</span>${has(W.site[s.row]) ? `<div>${siteLine('at', W.site[s.row])}</div>` : ''}` };
}
function stripTip(c, t) {
  const { kernel, user, reader } = fillAt(c, t), ch = CHANNELS[c], ends = (list, word) => list.length ? `${word}: ${esc(list.slice(0, 4).join(', '))}${list.length > 4 ? ` and ${list.length - 4} more` : ''}` : '';
  return `<b>${esc(ch.name)} at ${at(t, digits())}</b>${n(kernel)}${ch.capacity ? ` of ${n(ch.capacity)}` : ''} ${ch.items ? 'items in it' : `bytes in the channel<br>${leavingAt(c, t) ? `a write of ${n(leavingAt(c, t))} bytes has not returned` : `${n(user)} bytes in the writer’s buffer`}`}${reader && !ch.items ? `<br>${n(reader)} bytes in the reader’s buffer, not yet handed to the program` : ''}<br><span class="dim">${[ends(ch.open.w, 'writes'), ends(ch.open.r, 'reads')].filter(Boolean).join(' · ')}</span>`;
}

/* ---- pointer ------------------------------------------------------------------------------------------------------------ */
function pointer() {
  const wrap = $('wrap'), tip = $('tip');
  let down = null, last = { timeStamp: -1e9 };
  const local = e => { const b = $('plot').getBoundingClientRect(); return [e.clientX - b.left, e.clientY - b.top - TOP]; };
  wrap.addEventListener('pointermove', e => {
    const [x, y] = local(e), found = hit(x, y);
    tip.classList.toggle('on', !!found);
    if (!found) return;
    tip.innerHTML = found.html;
    const room = $('wrap').getBoundingClientRect(), below = e.clientY + 24 + tip.offsetHeight < innerHeight;
    const left = Math.min(Math.max(x + 14, 8 - room.left), innerWidth - room.left - tip.offsetWidth - 8);
    tip.style.left = `${left}px`;
    tip.style.top = `${below ? y + TOP + 18 : y + TOP - tip.offsetHeight - 12}px`;
  });
  wrap.addEventListener('pointerleave', () => tip.classList.remove('on'));
  wrap.addEventListener('pointerdown', e => { down = [e.clientX, e.clientY]; }, true);
  addEventListener('pointerup', e => { // a press without a drag sets the time
    if (down && Math.hypot(e.clientX - down[0], e.clientY - down[1]) < 4) {
      const [x, y] = local(e), found = hit(x, y);
      if (has(found?.message)) pick(found.message);
      else if (has(found?.mark)) reveal('Events', found.mark);
      else for (const what of ['wait', 'channel']) if (has(found?.[what])) tell(what, found[what]);
      const twice = e.timeStamp - last.timeStamp < 400 && Math.hypot(e.clientX - last.clientX, e.clientY - last.clientY) < 6;
      last = e;
      if (twice) ACTIONS.fit(); else go(unX(x)); // counted here: plotly covers the page while a button is down, so no dblclick comes
    }
    down = null;
  }, true);
}
