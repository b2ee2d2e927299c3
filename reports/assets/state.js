/* The view as the address' fragment: a link opens what its sender saw. `#t=1.0456&from=0.9&to=1.1&message=14&table=Blocking
   &sort=-for&chip=never+ended&q=…&process=1`. What is as it was at the start is left out, so a page that nobody touched has
   no fragment, and an anchor (`#IPC101`) stays what it is. The theme is the reader's own and is not in it. */
const seconds = ns => (ns / 1e9).toFixed(9).replace(/\.?0+$/, '');
const nanoseconds = text => { const value = parseFloat(text) * 1e9; return Number.isFinite(value) ? Math.round(value) : null; };
/* Each part: [name, read() → text or null, write(text or null)]. Other files may add their own. */
const STATE = [
  ['t', () => seconds(now), text => { now = Math.min(END, Math.max(0, nanoseconds(text) ?? 0)); }],
  ['from', () => view[0] > 0 || view[1] < END ? seconds(view[0]) : null, text => { view = [text === null ? 0 : nanoseconds(text) ?? 0, view[1]]; }],
  ['to', () => view[0] > 0 || view[1] < END ? seconds(view[1]) : null, text => { view = [view[0], text === null ? END : nanoseconds(text) ?? END]; }],
  ['message', () => has(picked) ? String(M.number[picked]) : null, text => { const i = M.number.indexOf(+text); if (i >= 0 && i !== picked) { opening = true; pick(i, false); opening = false; } }],
  ['table', () => tab, text => { tab = Object.hasOwn(TABLES, text ?? '') ? text : untouched.table; }],
  ['sort', () => sorting && (sorting[1] < 0 ? '-' : '') + TABLES[tab].columns[sorting[0]].key, text => { const k = TABLES[tab].columns.findIndex(c => c.key === text?.replace(/^-/, '')); sorting = k < 0 ? null : [k, text.startsWith('-') ? -1 : 1]; }],
  ['chip', () => chip, text => { chip = TABLES[tab].chips.some(([label]) => label === text) ? text : null; }],
  ['q', () => $('q').value || null, text => { $('q').value = text ?? ''; }],
  ['row', () => marked ? `${marked.table}:${marked.row}` : null, text => { const [name, row] = (text ?? '').split(':'); marked = Object.hasOwn(TABLES, name) && +row < TABLES[name].size ? { table: name, row: +row } : null; }],
  ...Object.keys(FACETS).map(which => [which, () => has(facets[which]) ? String(facets[which]) : null, text => { if (text === null || !(+text < FACETS[which].names().length)) delete facets[which]; else facets[which] = +text; }]),
];

let untouched = {}, kept = '', applying = false; // the state at the start; the fragment as it was last read or written
const stateNow = () => Object.fromEntries(STATE.map(([name, read]) => [name, read()]));
function fragment() {
  const state = stateNow(), told = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value !== untouched[name] && value !== null) told.set(name, value);
  return told.toString();
}
const isState = hash => hash.includes('=');

async function applyState(text) { // what it does not name is as at the start
  const told = new URLSearchParams(text);
  applying = true;
  for (const [name, , write] of STATE) write(told.get(name) ?? untouched[name]);
  await zoomTo(...view);
  drawTable();
  if (marked?.table === tab && shownRows.includes(marked.row)) bringIn(shownRows.indexOf(marked.row));
  rows();
  tell('mark');
  applying = false;
  kept = text;
}
let writing;
function keepState() { // a moment after the last change: browsers refuse an address that changes too often
  clearTimeout(writing);
  if (applying) return;
  writing = setTimeout(() => {
    const text = fragment();
    if (text === kept || (!text && location.hash && !isState(location.hash))) return;
    kept = text;
    try { history.replaceState(history.state, '', text ? `#${text}` : location.pathname + location.search); } catch { /* a frame without an address of its own */ }
  }, 300);
}
async function startState() {
  untouched = stateNow();
  const text = location.hash.slice(1);
  if (isState(text)) await applyState(text);
  for (const what of ['time', 'view', 'message', 'table', 'mark']) heed(what, keepState);
  addEventListener('hashchange', () => { const given = location.hash.slice(1); if (isState(given) && given !== kept) applyState(given); });
}
