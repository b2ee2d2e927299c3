/* Marks: what happens to a lane at one moment. Forks, starts and signals are lines to the lane that they reach; all are
   glyphs over the bar (writes that leave the run: a tick under it), at most one in 12 px, with the rest in its tooltip. */
const glyph = d => `<svg class="g" width="12" height="12" viewBox="0 0 12 12" aria-hidden="true"><path d="${d}"/></svg>`; // drawn: no font has them all
const BRANCH = 'M6 11V7M6 7L2 1M6 7L10 1', BOLT = 'M7.5 1L3 7H6.2L4.5 11L9 5H5.8Z';
const GLYPHS = {
  fork: glyph(BRANCH), exec: glyph('M3 1.5L10 6L3 10.5Z'), start: glyph(BRANCH), task: glyph(BRANCH), exit: glyph('M3 3L9 9M9 3L3 9'), out: glyph('M6 5.2v1.6'),
  kill: glyph(BOLT), handled: glyph(`${BOLT}M1 11.5H11`), awaited: glyph(`${BOLT}M1 11.5H11`), ended: glyph('M4 4L8 8M8 4L4 8M6 1A5 5 0 1 0 6 11A5 5 0 1 0 6 1Z'), uncaught: glyph('M6 1V7.5M6 10.6V10.8'),
};
const MARK_WORDS = {
  fork: 'fork', exec: 'exec', start: 'thread starts', task: 'task begins', exit: 'exit', out: 'write to the terminal or a file', kill: 'signal sent',
  handled: 'signal arrives', awaited: 'signal arrives', ended: 'ended by a signal', uncaught: 'exception that nothing handled',
};
const signalName = number => MODEL.signals[number] ?? 'a signal';
/* What a program became is known of its last exec only. */
const lastExec = lane => { for (let k = K.time.length - 1; k >= 0; k--) if (K.lane[k] === lane && MARKS[K.kind[k]] === 'exec') return k; };

/* A mark as a sentence, as text. */
function markWords(k) {
  const by = who(K.lane[k]), other = has(K.other[k]) ? who(K.other[k]) : null, number = K.number[k];
  const reached = has(K.arrived[k]) ? `, which gets it ${dur(Math.max(0, K.arrived[k] - K.time[k]))} later` : ', where nothing shows that it arrived';
  return {
    fork: () => `${by} forks ${other ?? 'a process'}`,
    exec: () => `${by} executes ${lastExec(K.lane[k]) === k ? LANES[K.lane[k]].file : 'another program'}`,
    start: () => `${by} starts ${other ?? 'a thread'}`,
    task: () => `${by} makes the task ${other ?? ''}`,
    exit: () => `${by} ends${has(number) ? `, exit status ${number}` : ', its status is not known'}`,
    out: () => `${by} writes to the terminal or a file`,
    kill: () => `${by} sends ${signalName(number)}${other ? `, to ${K.other[k] === K.lane[k] ? 'itself' : other}` : ''}${other ? reached : ''}`,
    handled: () => `${by} runs its handler of ${signalName(number)}`,
    awaited: () => `${by} gets what it waited for: ${signalName(number)}`,
    ended: () => `${by} is ended by ${signalName(number)}`,
    uncaught: () => `${by}: an exception that nothing handled${has(K.text[k]) ? `: ${MODEL.mark_texts[K.text[k]]}` : ''}`,
  }[MARKS[K.kind[k]]]();
}
function markTip(k) {
  const apart = 6 * perPixel(), from = seek(K.time, K.time[k] - apart), to = Math.min(seek(K.time, K.time[k] + apart, true), from + 5000);
  let more = -1;
  for (let i = from; i < to; i++) if (K.lane[i] === K.lane[k]) more++;
  return `<b>${esc(markWords(k))}</b><span class="dim">at ${at(K.time[k], digits())}${more > 0 ? `; ${n(more)} more within 6 pixels` : ''}</span>${has(K.site[k]) ? `<div>${siteLine('at', K.site[k])}</div>` : ''}`;
}

/* The marks that get a glyph in this view: { rows, seen }. */
function marksInView() {
  const used = new Float64Array(2 * LANES.length).fill(-99), shown = [], from = seek(K.time, view[0]), to = seek(K.time, view[1], true), out = MARKS.indexOf('out');
  for (let k = from; k < to; k++) {
    const under = K.kind[k] === out, place = 2 * K.lane[k] + under, x = X(K.time[k]);
    if (x - used[place] < (under ? 3 : 12)) continue;
    used[place] = x;
    if (shown.push(k) >= BARS) break;
  }
  return { rows: shown, seen: to - from };
}
/* Lines to the lanes that forks, starts and signals reach, also where one end lies outside the view. */
function markLines(P, kx) {
  const signals = MODEL.marks.indexOf('kill'), used = new Map(); // of many between two rows, one in 3 px
  let made = 0;
  for (let k = 0; k < K.time.length && made < BARS; k++) {
    if (K.time[k] > view[1]) break;
    const f = G.lanes[K.lane[k]], t = G.lanes[K.other[k]], arrived = has(K.arrived[k]) ? Math.max(K.arrived[k], K.time[k]) : K.time[k];
    if (!f || !t || f.row === t.row || arrived < view[0] || (K.kind[k] === signals && !has(K.arrived[k]))) continue;
    const between = (f.row * G.rows.length + t.row) * 2 + (K.kind[k] === signals), x = X(arrived);
    if (Math.abs(x - (used.get(between) ?? -1e9)) < 3) continue;
    used.set(between, x);
    const down = t.y > f.y, y0 = down ? f.bar + f.barH : f.bar, y1 = down ? t.bar - 1 : t.bar + t.barH + 1, ends = [K.time[k], y0, arrived, y1];
    made++;
    if (K.kind[k] !== signals) { P.forks.push(segment(...ends)); continue; }
    const [line, tip] = arrowPath(ends, kx);
    P.signals.push(line); P.signalheads.push(tip);
  }
}
