/* What each key does: one table, from which the keys act and the help sheet is drawn. [keys, as shown, words, act]. */
const toSection = id => { const section = $(id); section.scrollIntoView(); section.setAttribute('tabindex', '-1'); section.focus({ preventScroll: true }); };
/* The next wait (way 1) or the one before, seen from the marked one or else the cursor, as rows of W: they come by begin. */
function nextWait(way) {
  if (!W.begin.length) return;
  const at = marked?.table === 'Blocking' ? marked.row + way : seek(W.begin, now, way > 0) - (way < 0);
  const row = Math.min(W.begin.length - 1, Math.max(0, at));
  reveal('Blocking', row);
  lookAt(W.begin[row], W.end[row]);
}
const KEYS = {
  Time: [
    [['ArrowLeft', 'ArrowRight'], '← →', 'previous, next event', ACTIONS.prev, ACTIONS.next],
    [[' '], 'space', 'play, pause', ACTIONS.play],
    [['Home', 'End'], 'Home End', 'the beginning, the end', () => go(0), () => go(END)],
    [['d'], 'd', 'the moment of the deadlock', () => { if (has(MODEL.formed)) { ACTIONS.moment(); go(MODEL.formed); } }],
  ],
  Window: [
    [['+', '-'], '+ −', 'zoom in, out', ACTIONS.zin, ACTIONS.zout],
    [['='], '', '', ACTIONS.zin],
    [['0'], '0', 'the whole run', ACTIONS.fit],
    [[',', '.'], ', .', 'move the window', () => pan(-0.25), () => pan(0.25)],
    [['Shift+ArrowLeft', 'Shift+ArrowRight'], '⇧← ⇧→', 'the same', () => pan(-0.25), () => pan(0.25)],
  ],
  Things: [
    [['m', 'M'], 'm M', 'next, previous message', () => walk(1), () => walk(-1)],
    [['[', ']'], '[ ]', 'back, on along the open message, then its channel', ACTIONS.back, ACTIONS.along],
    [['w', 'W'], 'w W', 'next, previous wait', () => nextWait(1), () => nextWait(-1)],
  ],
  Tables: [
    [['/'], '/', 'search; ↓ goes on to the rows', () => $('q').focus()],
    [['<', '>'], '< >', 'previous, next table', () => chooseTable(neighbourTable(-1)), () => chooseTable(neighbourTable(1))],
    [['x'], 'x', 'show all rows again', () => { clearFilters(); drawTable(); }],
    [['b'], 'b', 'back to the marked row', toMarked],
    [[], '↑ ↓ Enter', 'in the rows: move, and show on the timeline', null],
  ],
  Page: [
    [['1', '2', '3', '4', '5', '6'], '1 … 6', 'verdict, timeline, message, tables, views, run', ...['verdict', 'timeline', 'messages', 'tables', 'views', 'run'].map(id => () => toSection(id))],
    [['t'], 't', 'light, dark', () => $('theme').click()],
    [['?'], '?', 'this sheet', () => openSheet()],
  ],
};
const SEARCHES = [['lost', 'rows that hold it, in any column'], ['payload:lost', 'in the payload; so with each column: site: from: …'], ['channel:"pipe A"', 'with a space in it'], ['bytes>1000', 'above; with < below'], ['for>0.1', 'a time: in seconds']];

function openSheet() {
  $('keys').showModal();
}
function drawSheet() {
  const pairs = list => `<dl>${list.filter(([keys]) => keys).map(([keys, words]) => `<dt>${esc(keys)}</dt><dd>${esc(words)}</dd>`).join('')}</dl>`;
  $('sheet').innerHTML = Object.entries(KEYS).map(([name, list]) => `<section><h3>${name}</h3>${pairs(list.map(([, shown, words]) => [shown, words]))}</section>`).join('')
    + `<section><h3>In the search</h3>${pairs(SEARCHES)}</section><section><h3>Mouse, touch</h3>${pairs([['drag', 'zoom'], ['⇧ drag', 'move'], ['double click', 'whole run'], ['click', 'set the time; show the row of what is there'], ['ctrl wheel', 'zoom'], ['touch', 'one finger moves, two zoom']])}</section>`;
}

function startKeys() {
  const acts = new Map(Object.values(KEYS).flat().flatMap(([keys, , , ...doing]) => keys.map((key, k) => [key, doing[k]])));
  drawSheet();
  addEventListener('keydown', e => {
    const act = acts.get(e.shiftKey && e.key.startsWith('Arrow') ? `Shift+${e.key}` : e.key), target = e.target;
    if (!act || e.ctrlKey || e.metaKey || e.altKey || $('keys').open || (!$('single').checked && e.key.length === 1)) return;
    if (target.matches('input, select, textarea')) return; // there a key is a letter
    if (target.matches('button, a, summary, li') && [' ', 'Enter'].includes(e.key)) return; // and there it presses
    e.preventDefault();
    act();
  });
  $('q').addEventListener('keydown', e => { if (e.key === 'Escape' && !$('q').value) $('q').blur(); });
  $('help').addEventListener('click', openSheet);
  $('close').addEventListener('click', () => $('keys').close());
}
