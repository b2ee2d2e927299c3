/* Which settings are chosen, the address' fragment, the keys, and the order in which the page comes up. */
function choose(a, b) {
  chosen = a < b ? [a, b] : [b, a];
  const key = chosen.join('-'), pair = pairOf(chosen);
  document.querySelectorAll('.difference').forEach(block => block.classList.toggle('later', block.dataset.pair !== key));
  $('apart').hidden = !!pair;
  if (!pair) $('apart').textContent = a === b ? 'Choose another setting beside it.' : `Of so many settings each is compared with ${SETTINGS[0].letter} only: choose that beside it.`;
  [$('one').value, $('other').value] = chosen;
  document.querySelectorAll('[data-setting]').forEach(element => {
    const on = chosen.includes(+element.dataset.setting);
    element.classList.toggle('chosen', on);
    if (element.tagName === 'BUTTON') element.setAttribute('aria-pressed', on);
  });
  if (!marks().some(one => one.first && has(one.a.time) && has(one.b.time))) align('begin', false);
  $('parting').disabled = !marks().some(one => one.first && has(one.a.time) && has(one.b.time));
  whole();
}
/* A click on a setting puts it beside the first of the two, or, where it is that, leaves it. */
let latest = 0;
function pick(k) {
  if (chosen.includes(k)) { latest = k; return; }
  const kept = chosen.includes(latest) ? latest : chosen[0];
  latest = k;
  choose(kept, k);
}
function align(how, redraw = true) {
  aligned = how;
  $('begin').setAttribute('aria-pressed', how === 'begin');
  $('parting').setAttribute('aria-pressed', how === 'parting');
  if (redraw) whole();
}
function nextPair(way) {
  const place = MODEL.pairs.indexOf(pairOf(chosen)), pair = MODEL.pairs[(place + way + MODEL.pairs.length) % MODEL.pairs.length];
  choose(pair.first, pair.second);
}

/* #a=0&b=3&all=1&align=parting&from=0.5&to=1.2 */
let kept = '', writing;
const seconds = ns => (ns / 1e9).toFixed(9).replace(/\.?0+$/, '');
function keep() {
  clearTimeout(writing);
  writing = setTimeout(() => {
    const told = new URLSearchParams();
    if (chosen.join() !== MODEL.start.join()) { told.set('a', chosen[0]); told.set('b', chosen[1]); }
    if (everything) told.set('all', 1);
    if (aligned !== 'begin') told.set('align', aligned);
    if (view[0] > 0 || view[1] < endOfAll()) { told.set('from', seconds(view[0])); told.set('to', seconds(view[1])); }
    const text = told.toString();
    if (text === kept || (!text && location.hash && !location.hash.includes('='))) return;
    kept = text;
    try { history.replaceState(history.state, '', text ? `#${text}` : location.pathname + location.search); } catch { /* a frame without an address of its own */ }
  }, 300);
}
function restore() {
  const told = new URLSearchParams(location.hash.slice(1)), setting = name => { const k = parseInt(told.get(name), 10); return k >= 0 && k < SETTINGS.length ? k : null; };
  everything = $('all').checked = told.has('all');
  choose(setting('a') ?? MODEL.start[0], setting('b') ?? MODEL.start[1]);
  if (told.get('align') === 'parting' && !$('parting').disabled) align('parting');
  const [from, to] = ['from', 'to'].map(name => parseFloat(told.get(name)) * 1e9);
  if (from < to) zoomTo(from, to);
}

const dark = () => (document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
const KEYS = {
  Window: [['+', () => zoom(0.5)], ['-', () => zoom(2)], ['=', () => zoom(0.5), ''], ['0', whole, 'all of both'], [',', () => pan(-0.25)], ['.', () => pan(0.25), 'move']],
  Runs: [['n', () => nextPair(1), 'the next two'], ['N', () => nextPair(-1), 'the two before'], ['a', () => $('all').click(), 'all runs, or two'], ['b', () => align('begin'), 'all from their start'], ['p', () => !$('parting').disabled && align('parting'), 'from where they part']],
  Page: [['t', () => $('theme').click(), 'light, dark'], ['?', () => $('keys').showModal(), 'this sheet']],
};
const SHEET = { Window: [['+ −', 'zoom in, out'], ['0', 'all of both'], [', .', 'move']], Runs: [['n N', 'the next, the previous two'], ['a', 'all runs, or two'], ['b', 'all from their start'], ['p', 'shifted to where they part']], Page: [['t', 'light, dark'], ['?', 'this sheet']], 'Mouse, touch': [['drag', 'zoom'], ['⇧ drag', 'move'], ['double click', 'whole'], ['ctrl wheel', 'zoom'], ['touch', 'one finger moves, two zoom']] };
function keys() {
  $('sheet').innerHTML = Object.entries(SHEET).map(([name, list]) => `<section><h3>${name}</h3><dl>${list.map(([key, words]) => `<dt>${esc(key)}</dt><dd>${esc(words)}</dd>`).join('')}</dl></section>`).join('');
  const acts = new Map(Object.values(KEYS).flat());
  addEventListener('keydown', e => {
    const act = acts.get(e.key);
    if (!act || e.ctrlKey || e.metaKey || e.altKey || $('keys').open || !$('single').checked || e.target.matches('input:not([type=checkbox]), select, textarea')) return;
    e.preventDefault();
    act();
  });
  $('help').addEventListener('click', () => $('keys').showModal());
  $('close').addEventListener('click', () => $('keys').close());
}

/* What scrolls sideways must be reached by keyboard, and what fits must not cost a press of Tab. */
function scrollStops() {
  for (const box of document.querySelectorAll('.scroll')) if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0; else box.removeAttribute('tabindex');
}

window.ipctrace.start = async () => {
  const began = performance.now();
  await openRuns();
  restore();
  moving();
  keys();
  $('theme').addEventListener('click', () => { document.documentElement.dataset.theme = dark() ? 'light' : 'dark'; });
  for (const [id, act] of [['zin', () => zoom(0.5)], ['zout', () => zoom(2)], ['fit', whole], ['begin', () => align('begin')], ['parting', () => align('parting')]]) $(id).addEventListener('click', act);
  for (const id of ['one', 'other']) $(id).addEventListener('change', () => choose(+$('one').value, +$('other').value));
  $('all').addEventListener('change', () => { everything = $('all').checked; whole(); });
  document.addEventListener('click', e => { const element = e.target.closest('[data-setting]'); if (element && !e.target.closest('a')) pick(+element.dataset.setting); });
  addEventListener('hashchange', () => { const text = location.hash.slice(1); if (text.includes('=') && text !== kept) restore(); });
  let wait, before = innerWidth;
  new ResizeObserver(() => { if (innerWidth === before) return; before = innerWidth; clearTimeout(wait); wait = setTimeout(() => { draw(); scrollStops(); }, 60); }).observe(document.body);
  addEventListener('beforeprint', whole);
  document.addEventListener('toggle', scrollStops, true);
  scrollStops();
  window.ipctrace.times.ready = performance.now() - began;
};
