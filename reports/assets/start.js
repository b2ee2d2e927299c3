/* Theme, keys, and the order in which the page comes up. `window.ipctrace.ready` is fulfilled when all is drawn. */
window.ipctrace = { times: {} };

/* Without a choice the page follows the system; a choice holds for this page only: a file has no place to store it. */
const dark = () => (document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
const repaint = () => { if (G && window.ipctrace.drawn && !window.ipctrace.drawn.exact) draw(); }; // only the heat map holds colours
$('theme').addEventListener('click', () => { document.documentElement.dataset.theme = dark() ? 'light' : 'dark'; repaint(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
$('help').addEventListener('click', () => $('keys').showModal());
$('close').addEventListener('click', () => $('keys').close());

const KEYS = {
  ' ': ACTIONS.play, ArrowLeft: ACTIONS.prev, ArrowRight: ACTIONS.next, '+': ACTIONS.zin, '=': ACTIONS.zin, '-': ACTIONS.zout, 0: ACTIONS.fit,
  d: () => { if (has(MODEL.formed)) { ACTIONS.moment(); go(MODEL.formed); } }, m: () => walk(1), '/': () => $('q').focus(), t: () => $('theme').click(), '?': () => $('keys').showModal(),
};
function keys() {
  addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey || $('keys').open || !KEYS[e.key]) return;
    const target = e.target, pressed = target.matches('button, a, summary') && !e.key.startsWith('Arrow') && [' ', 'Enter'].includes(e.key);
    if (target.matches('input, #window') && !(target.id === 'window' && e.key.length === 1 && e.key !== ' ') || pressed) return;
    e.preventDefault();
    KEYS[e.key]();
  });
  for (const [id, act] of Object.entries(ACTIONS)) $(id)?.addEventListener('click', act);
  const chooseStep = e => { const li = e.target.closest('li'); if (li && (e.type === 'click' || e.key === 'Enter')) go(+li.dataset.t); };
  $('story')?.addEventListener('click', chooseStep);
  $('story')?.addEventListener('keydown', chooseStep);
}

function legend() {
  const seen = new Set(), marks = new Set(Array.from(new Set(K.kind), k => MARKS[k])), told = new Set();
  for (let i = 0; i < W.reason.length && seen.size < REASONS.length; i++) seen.add(REASONS[W.reason[i]]);
  if (LANES.some(l => l.traced)) seen.add('run');
  if (LANES.some(l => !l.traced)) seen.add('unseen');
  const parts = REASONS.filter(r => seen.has(r)).map(r => `${swatch(r)}${MODEL.reasons[r]}`);
  if (M.held.some(v => v !== 0)) parts.push('<svg width="26" height="14" aria-hidden="true"><rect y="8" width="26" height="3" fill="var(--liquid2)"/></svg>bytes held in the writer’s buffer');
  if (MODEL.strips.some(c => flows[c].taken.sums.at(-1) > (flows[c].given.sums.at(-1) ?? 0) || M.unread.some(v => v > 0))) parts.push('<svg width="26" height="14" aria-hidden="true"><rect x=".5" y="3.5" width="25" height="9" fill="url(#p-reader)" stroke="var(--liquid2)"/></svg>bytes held in the reader’s buffer');
  if (M.merged.some(v => v)) parts.push('<svg width="26" height="14" aria-hidden="true"><path d="M3 7V12H23V7" fill="none" stroke="var(--ink2)" stroke-width="1.5"/></svg>several writes, one read');
  if (M.begin.length) parts.push('<svg width="26" height="14" aria-hidden="true"><path d="M1 2L20 10" stroke="var(--ink2)"/><path d="M25 12l-7 0l2-5z" fill="var(--ink2)"/></svg>message, written → read');
  for (const mark of MARKS) if (marks.has(mark) && !told.has(GLYPHS[mark])) {
    told.add(GLYPHS[mark]);
    parts.push(`${GLYPHS[mark]} ${[...new Set(MARKS.filter(one => marks.has(one) && GLYPHS[one] === GLYPHS[mark]).map(one => MARK_WORDS[one]))].join(', ')}`);
  }
  $('legend').innerHTML = parts.map(part => `<span>${part}</span>`).join('');
}

async function library() { // plotly, compressed in the page: 0.7 MB in place of 1.5
  const source = new TextDecoder().decode(await gunzip($('library')));
  document.head.append(Object.assign(document.createElement('script'), { textContent: source }));
}

window.ipctrace.ready = (async () => {
  const began = performance.now(), mark = name => { window.ipctrace.times[name] = performance.now() - began; };
  const loaded = library().then(() => mark('library'));
  await openRun();
  takenByPieces();
  mark('data');
  inspector();
  await loaded;
  await draw();
  mark('drawn');
  legend();
  startTables();
  pointer();
  moving();
  exporting();
  $('gl').addEventListener('click', e => { const button = e.target.closest('[data-group]'); if (button) unfold(+button.dataset.group); });
  keys();
  mark('ready');
  if (location.hash === '#moment') ACTIONS.moment();
  let wait, width = innerWidth;
  new ResizeObserver(() => {
    if (innerWidth === width) return;
    width = innerWidth; clearTimeout(wait);
    wait = setTimeout(() => { if (has(picked)) pick(picked); else draw(); }, 60);
  }).observe(document.body);
})();
