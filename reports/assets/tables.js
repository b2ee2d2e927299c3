/* The tables: tabs, search, facets, chips, sorted and windowed rows, and the way from a row to the timeline and back.
   Above WINDOW rows only those in the scrolled window are in the page. One row is the stop of the Tab key; arrows move it. */
const WINDOW = 200, ROW = 30, PAGE = 15;
const TALLEST = 15e6; // px: browsers can't make an element much taller; past it the scroll bar is a scale

let TABLES, tab = 'Messages', sorting = null, shownRows = new Uint32Array(0), stop = 0; // sorting: [column, 1 or -1]; stop: a place in shownRows
let SHORTENED = 0; // messages of which the page does not have every recorded byte
let marked = null; // { table, row }: the row that was chosen, here or on the timeline

/* Row numbers in the chosen order; what has no value comes last. Keys are numbers: a text's place among all texts. */
function inOrder(t, rows) {
  if (!sorting) return rows;
  const [k, way] = sorting, { value } = t.columns[k], keys = new Float64Array(t.size), missing = way * Infinity;
  if (t.columns[k].unit) for (const i of rows) { const v = value(i); keys[i] = !has(v) ? missing : v === Infinity ? 1e300 : v; }
  else {
    const texts = new Map();
    for (const i of rows) texts.set(value(i), 0);
    [...texts.keys()].filter(has).sort((a, b) => a < b ? -1 : 1).forEach((v, place) => texts.set(v, place));
    for (const i of rows) { const v = value(i); keys[i] = has(v) && v !== '' ? texts.get(v) : missing; }
  }
  return rows.slice().sort((i, j) => way * (keys[i] - keys[j]) || 0);
}

function drawTable() {
  const t = TABLES[tab], all = chosen(t, $('q').value), tall = all.rows.length > WINDOW;
  shownRows = inOrder(t, all.rows);
  stop = marked?.table === tab ? Math.max(0, shownRows.indexOf(marked.row)) : 0;
  drawTabs();
  $('filters').innerHTML = t.size ? t.chips.map(([label], k) => `<button aria-pressed="${label === chip}" data-chip="${esc(label)}">${esc(label)} ${n(all.chips[k])}</button>`).join('') : '';
  drawFacets(t, all.facets);
  $('window').classList.toggle('tall', tall);
  $('window').scrollTop = 0;
  rows();
  $('count').textContent = tall || shownRows.length !== t.size ? `${n(shownRows.length)} of ${n(t.size)}` : t.size ? count(t.size, 'row') : '';
  if (tab === 'Messages' && SHORTENED) $('count').textContent += `. Of ${count(SHORTENED, 'long payload')} this page has the beginning; the recording has more.`;
  tell('table');
}
function drawTabs() { // one is the stop of the Tab key; arrows go to the others
  const focused = document.activeElement?.dataset?.tab;
  $('tabs').innerHTML = Object.keys(TABLES).map(name => `<button role="tab" id="tab-${keyOf(name)}" aria-controls="panel" aria-selected="${name === tab}" tabindex="${name === tab ? 0 : -1}" data-tab="${name}">${name} <span>${n(TABLES[name].size)}</span></button>`).join('');
  $('panel').setAttribute('aria-labelledby', `tab-${keyOf(tab)}`);
  if (focused) $(`tab-${keyOf(tab)}`).focus({ preventScroll: true });
}

const isTall = () => shownRows.length > WINDOW;
/* The scrolled window: how many rows are seen at once, px that it can scroll, px of all rows, and the place (a fraction)
   of the first that is seen. */
function scrolled() {
  const box = $('window'), height = Math.min(TALLEST, shownRows.length * ROW), seen = box.clientHeight / ROW - 1; // less the heading
  const range = height - seen * ROW;
  return { seen, range, height, first: Math.min(1, box.scrollTop / range) * (shownRows.length - seen) };
}

function rows() { // the visible rows, between two empty ones that stand for the rest
  const t = TABLES[tab], tall = isTall(), q = $('q').value, element = $('table');
  const focused = element.contains(document.activeElement) ? document.activeElement : null, { sort, at: place } = focused?.dataset ?? {};
  element.setAttribute('aria-rowcount', shownRows.length + 1);
  element.setAttribute('role', t.level ? 'treegrid' : 'grid');
  element.setAttribute('aria-label', tab);
  if (!shownRows.length) {
    const said = [chip && `“${esc(chip)}”`, ...Object.keys(t.about ?? {}).filter(which => has(facets[which])).map(which => `“${esc(FACETS[which].names()[facets[which]])}”`), q && `“${esc(q)}”`].filter(Boolean).join(' and ');
    element.setAttribute('role', 'table');
    element.innerHTML = `<tbody><tr><td class="empty">${t.size ? `No ${tab.toLowerCase()} match ${said}. <button id="clear">Show all ${n(t.size)}</button>` : esc(t.none)}</tbody>`;
    return;
  }
  const { first, height } = scrolled(), from = tall ? Math.max(0, Math.floor(first) - 20) : 0, to = tall ? Math.min(shownRows.length, from + 62) : shownRows.length;
  const above = Math.max(0, $('window').scrollTop - (first - from) * ROW);
  const head = t.columns.map(({ title, unit, key }, k) => `<th scope="col" class="${unit ? 'num' : ''}" aria-sort="${sorting?.[0] === k ? (sorting[1] > 0 ? 'ascending' : 'descending') : 'none'}"><button data-sort="${k}" title="Sort; search with ${key}:">${title}</button>`).join('');
  const pad = height => height > 0 ? `<tr class="pad" aria-hidden="true"><td colspan="${t.columns.length}" style="height:${height}px">` : '';
  const tabbable = Math.min(to - 1, Math.max(from, stop)); // there is always one that Tab comes to
  const body = Array.from(shownRows.subarray(from, to), (i, k) => {
    const at = from + k, mine = marked?.table === tab && marked.row === i;
    return `<tr class="${t.bad(i) ? 'bad' : ''}${mine ? ' marked' : ''}" data-row="${i}" data-at="${at}" tabindex="${at === tabbable ? 0 : -1}" aria-rowindex="${at + 2}" aria-selected="${mine}"${t.level && !sorting ? ` aria-level="${t.level(i)}"` : ''}>${t.columns.map(({ show, unit, style }) => `<td class="${unit ? 'num' : style ?? ''}">${show(i)}`).join('')}`;
  }).join('');
  element.innerHTML = `<thead><tr aria-rowindex="1">${head}</thead><tbody>${tall ? pad(above) : ''}${body}${tall ? pad(height - above - (to - from) * ROW) : ''}</tbody>`;
  if (sort) element.querySelector(`[data-sort="${sort}"]`)?.focus({ preventScroll: true });
  else if (place) (element.querySelector(`[data-at="${place}"]`) ?? $('window')).focus({ preventScroll: true });
}

/* Scrolls, within the table's own window, to where a place is seen. */
function bringIn(place) {
  if (!isTall()) return;
  const { first, seen, range } = scrolled();
  if (place < first || place > first + seen - 1) $('window').scrollTop = Math.max(0, (place - seen / 2) / (shownRows.length - seen) * range);
}
/* Moves the stop of the Tab key, and the focus with it. */
function moveTo(place) {
  stop = Math.min(shownRows.length - 1, Math.max(0, place));
  bringIn(stop);
  rows();
  const row = $('table').querySelector(`[data-at="${stop}"]`);
  row?.focus({ preventScroll: true });
  (isTall() ? $('window') : row)?.scrollIntoView({ block: 'nearest' });
}

/* ---- a row, and its place on the timeline --------------------------------------------------------------------------- */
/* Sets the time and, where it must, the window, so that the span is seen whole and wide enough to be seen at all. */
function lookAt(begin, end) {
  const width = view[1] - view[0], long = end - begin, seen = begin >= view[0] && end <= view[1];
  now = Math.min(END, Math.max(0, begin));
  if (seen && (!long || long / perPixel() >= 8)) return cursor();
  const wanted = long ? Math.max(long * (long > END / 3 ? 1.1 : 4), 20_000) : Math.min(width, END), middle = (begin + end) / 2;
  return zoomTo(middle - wanted / 2, middle + wanted / 2);
}
let opening = false; // a row is being opened here: what it picks is marked already
function openRow(i, place) {
  const t = TABLES[tab], where = t.where?.(i);
  stop = place;
  mark(tab, i);
  opening = true;
  t.open?.(i);
  opening = false;
  if (where) {
    lookAt(where[0], where[1]);
    const { top, bottom } = $('tl').getBoundingClientRect(); // a row is a link to the timeline: one goes there
    if (top < 0 || bottom > innerHeight) $('tl').scrollIntoView({ block: bottom - top > innerHeight ? 'start' : 'center' });
  }
  if (tab === 'Messages') draw();
}
/* Marks a thing, by its table and row: the row is shaded, and its place on the timeline outlined. */
function mark(name, row) {
  marked = { table: name, row };
  if (name === tab) rows();
  tell('mark');
}
/* Back from the timeline to the row that is marked. */
function toMarked() {
  if (!marked) return;
  reveal(marked.table, marked.row);
  moveTo(stop);
}
/* The other way: shows the row of what was chosen on the timeline, without the filters that hide it. */
function reveal(name, row) {
  if (!TABLES || opening) return;
  const moved = tab !== name;
  if (moved) { tab = name; sorting = chip = null; }
  marked = { table: name, row };
  if (moved || !shownRows.includes(row)) {
    drawTable();
    if (!shownRows.includes(row)) { clearFilters(); drawTable(); }
  }
  stop = shownRows.indexOf(row);
  bringIn(stop);
  rows();
  tell('mark');
}
function clearFilters() {
  chip = null;
  $('q').value = '';
  for (const which of Object.keys(FACETS)) delete facets[which];
}
/* The outline of what is marked, over its lane or strip. */
function outline() {
  const where = marked && TABLES[marked.table].where?.(marked.row), box = $('marked');
  const place = where && (G.lanes[where[2]] ?? G.strips[where[3]]);
  box.hidden = !place || where[1] < view[0] || where[0] > view[1];
  if (box.hidden) return;
  const left = Math.max(-4, X(where[0]) - 2), right = Math.min(plotWidth() + 4, X(where[1]) + 2), top = place.bar ?? place.y;
  box.style.cssText = `left:${left}px;width:${Math.max(6, right - left)}px;top:${top + TOP - 3}px;height:${(place.barH ?? place.h) + 6}px`;
}

/* ---- what a person does --------------------------------------------------------------------------------------------- */
function chooseTable(name) { tab = name; sorting = chip = null; drawTable(); }
const neighbourTable = way => { const names = Object.keys(TABLES); return names[(names.indexOf(tab) + way + names.length) % names.length]; };

function clicked(e) {
  const button = e.target.closest('button'), { tab: name, chip: label, sort } = button?.dataset ?? {}, row = e.target.closest('tr[data-row]');
  if (name) chooseTable(name);
  else if (label) { chip = chip === label ? null : label; drawTable(); $('filters').querySelector(`[data-chip="${CSS.escape(label)}"]`)?.focus({ preventScroll: true }); }
  else if (sort) { sorting = sorting?.[0] === +sort && sorting[1] > 0 ? [+sort, -1] : [+sort, 1]; drawTable(); }
  else if (button?.id === 'clear') { clearFilters(); drawTable(); $('q').focus(); }
  else if (row && !e.target.closest('a') && !getSelection().toString()) openRow(+row.dataset.row, +row.dataset.at);
}
const STEPS = { ArrowDown: () => stop + 1, ArrowUp: () => stop - 1, PageDown: () => stop + PAGE, PageUp: () => stop - PAGE, Home: () => 0, End: () => shownRows.length - 1 };
function pressed(e) { // in the rows: arrows move, Enter opens; in the tabs: arrows choose
  if (e.ctrlKey || e.metaKey || e.altKey || e.shiftKey) return;
  const row = e.target.closest('tr[data-row]'), way = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
  if (row && e.target === row && STEPS[e.key]) { stop = +row.dataset.at; moveTo(STEPS[e.key]()); } else if (row && e.target === row && e.key === 'Enter') openRow(+row.dataset.row, +row.dataset.at);
  else if (e.target.id === 'q' && e.key === 'ArrowDown' && shownRows.length) moveTo(stop);
  else if (e.target.dataset.tab && (way || e.key === 'Home' || e.key === 'End')) chooseTable(way ? neighbourTable(way) : Object.keys(TABLES).at(e.key === 'End' ? -1 : 0));
  else return;
  e.preventDefault();
  e.stopPropagation();
}

async function startTables() {
  TABLES = await listing();
  for (const one of M.cut) if (one) SHORTENED++;
  tab = ['Messages', 'Blocking', 'Events'].find(name => TABLES[name].size) ?? 'Processes';
  $('tables').addEventListener('click', clicked);
  $('tables').addEventListener('keydown', pressed);
  $('facets').addEventListener('change', e => { const { facet } = e.target.dataset; if (e.target.value === '') delete facets[facet]; else facets[facet] = +e.target.value; drawTable(); });
  let wait;
  $('q').addEventListener('input', () => { clearTimeout(wait); wait = setTimeout(drawTable, TABLES[tab].size > 5000 ? 250 : 0); });
  $('window').addEventListener('scroll', () => { if (isTall()) rows(); }, { passive: true });
  heed('message', () => { if (has(picked)) reveal('Messages', picked); });
  heed('wait', row => reveal('Blocking', row));
  heed('channel', row => reveal('Channels', row));
  heed('mark', outline);
  heed('view', outline);
  drawTable();
}
