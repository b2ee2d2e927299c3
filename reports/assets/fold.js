/* The rows of the timeline. Up to CROWD lanes each has a row. Above, processes that are not traced and ran one program
   share a row until they are asked for (a shell starts dozens); above FOLD lanes, the threads of a process do, and the
   processes of one thread of one program where there are more than CROWD; of more than FOLD processes, all those of one
   program; of more than FOLD programs, the last ones. The knot's lanes and the first thread
   of the first process are never folded. A row: { lanes, name, folded, open, y, h, bar, barH }. */
const CROWD = 24, FOLD = 80;
let folding = false;
let groups = null; // [{ lanes, name }]
const unfolded = new Set(); // groups that are open, by their place

function grouped() {
  const crowded = LANES.length > CROWD, many = LANES.length > FOLD, core = new Set(MODEL.core);
  const threads = new Map(), workers = new Map(); // process → its threads; program → its processes of one thread
  for (const lane of LANES) threads.set(lane.process, (threads.get(lane.process) ?? 0) + 1);
  for (const lane of LANES) if (threads.get(lane.process) === 1) workers.set(lane.file, (workers.get(lane.file) ?? 0) + 1);
  const few = new Set(LANES.map(lane => lane.process)).size <= FOLD, by = new Map();
  const root = LANES.findIndex(lane => lane.traced); // the one that began it all has a row of its own
  LANES.forEach((lane, i) => {
    const worker = threads.get(lane.process) === 1 && workers.get(lane.file) > CROWD, alike = !few || !lane.traced || worker;
    const alone = core.has(i) || i === root || !(many || (crowded && !lane.traced));
    const key = alone ? `lane ${i}` : alike ? `program ${lane.file}` : `process ${lane.process}`;
    if (!by.has(key)) by.set(key, { lanes: [], name: alike ? lane.file : lane.program });
    by.get(key).lanes.push(i);
  });
  folding = by.size < LANES.length;
  if (!many) return [...by.values()];
  const made = [...by.values()].sort((a, b) => core.has(b.lanes[0]) - core.has(a.lanes[0]));
  if (made.length <= FOLD) return made;
  const rest = made.slice(FOLD - 1);
  return [...made.slice(0, FOLD - 1), { lanes: rest.flatMap(group => group.lanes), name: `${n(rest.length)} more programs` }];
}
/* All rows from top to bottom, without their places. */
function rowsShown() {
  groups ??= grouped();
  return groups.flatMap((group, place) => {
    if (group.lanes.length === 1) return [{ lanes: group.lanes }];
    const open = unfolded.has(place), head = { lanes: group.lanes, name: group.name, group: place, folded: true, open };
    return open ? [head, ...group.lanes.map(lane => ({ lanes: [lane], inner: true }))] : [head];
  });
}
/* `12 threads` or `12 processes, 48 threads`. */
function sizeOf(group) {
  const processes = new Set(group.lanes.map(lane => LANES[lane].process)).size, threads = count(group.lanes.length, 'thread'), of = `${n(processes)} processes`;
  return processes === 1 ? threads : processes === group.lanes.length ? of : `${of}, ${threads}`;
}
function unfold(place) {
  if (!unfolded.delete(place)) unfolded.add(place);
  return draw().then(() => $('gl').querySelector(`[data-group="${place}"]`)?.focus());
}
/* What one does, said of several: `wait for data`, `run`. */
const severally = words => words.replace(/^waits/, 'wait').replace(/^sleeps/, 'sleep').replace(/^running/, 'run');
/* How many lanes of a row are in which state at a moment, the most frequent first: [[reason, lanes]]. */
function statesAt(row, t) {
  const by = new Map();
  for (const lane of row.lanes) { const state = stateAt(lane, t); if (state) by.set(state.reason, (by.get(state.reason) ?? 0) + 1); }
  return [...by].sort((a, b) => b[1] - a[1]);
}
/* Beside the figure, what the threads of a row do at the cursor: the state of each is beside it only where it has a row. */
heed('time', () => {
  if (!folding || !G) return;
  $('gr').querySelectorAll('.row-state').forEach(element => element.remove());
  const shown = G.rows.filter(row => row.folded || (LANES.length > FOLD && !row.slim)).map(row => {
    const states = statesAt(row, now), [most, lanes] = states[0] ?? [];
    const does = lanes > 1 ? severally(BRIEFLY[most] ?? MODEL.reasons[most]) : BRIEFLY[most] ?? MODEL.reasons[most];
    const words = !states.length ? '<span class="s">none lives</span>' : `<span style="color:var(--${most})">${row.folded ? `${n(lanes)} of ${n(row.lanes.length)} ` : ''}${does}</span>`;
    const all = states.map(([reason, some]) => `${n(some)}: ${MODEL.reasons[reason]}`).join(', ');
    return `<div class="row-state" style="top:${row.y + TOP}px;height:${row.h}px" title="${all}"><span>${words}</span></div>`;
  });
  $('gr').insertAdjacentHTML('beforeend', shown.join(''));
});
