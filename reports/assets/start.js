/* Theme, buttons, and the order in which the page comes up. */

/* Without a choice the page follows the system; a choice holds for this page only: a file has no place to store it. */
const dark = () => (document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
const repaint = () => { if (G && window.ipctrace.drawn && (folding || !window.ipctrace.drawn.exact)) draw(); }; // only the heat map holds colours; it paints what is folded, too
$('theme').addEventListener('click', () => { document.documentElement.dataset.theme = dark() ? 'light' : 'dark'; repaint(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);

function controls() { // the buttons, and the steps of the story
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
  if (M.held.some((v, i) => v !== 0 && !M.leaving[i])) parts.push('<svg width="26" height="14" aria-hidden="true"><rect y="8" width="26" height="3" fill="var(--liquid2)"/></svg>bytes held in the writer’s buffer');
  if (MODEL.strips.some(c => flows[c].taken.sums.at(-1) > (flows[c].given.sums.at(-1) ?? 0) || M.unread.some(v => v > 0))) parts.push('<svg width="26" height="14" aria-hidden="true"><rect x=".5" y="3.5" width="25" height="9" fill="url(#p-reader)" stroke="var(--liquid2)"/></svg>bytes held in the reader’s buffer');
  if (M.merged.some(v => v)) parts.push('<svg width="26" height="14" aria-hidden="true"><path d="M3 7V12H23V7" fill="none" stroke="var(--ink2)" stroke-width="1.5"/></svg>several writes, one read');
  if (M.begin.length) parts.push('<svg width="26" height="14" aria-hidden="true"><path d="M1 2L20 10" stroke="var(--ink2)"/><path d="M25 12l-7 0l2-5z" fill="var(--ink2)"/></svg>message, written → read');
  for (const mark of MARKS) if (marks.has(mark) && !told.has(GLYPHS[mark])) {
    told.add(GLYPHS[mark]);
    parts.push(`${GLYPHS[mark]} ${[...new Set(MARKS.filter(one => marks.has(one) && GLYPHS[one] === GLYPHS[mark]).map(one => MARK_WORDS[one]))].join(', ')}`);
  }
  $('legend').innerHTML = parts.map(part => `<span>${part}</span>`).join('');
}

/* What scrolls sideways must be reached by keyboard, and what fits must not cost a press of Tab. */
let measuring;
function scrollStops() {
  clearTimeout(measuring);
  measuring = setTimeout(() => {
    for (const box of document.querySelectorAll('.scroll:not(.window), pre, .src, .diff')) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0; else box.removeAttribute('tabindex');
    }
  }, 50);
}

window.ipctrace.start = async () => {
  const start = performance.now(), began = name => { window.ipctrace.times[name] = performance.now() - start; };
  const loaded = run('library').then(() => began('library'));
  await Promise.all([openRun(), openPieces()]);
  takenByPieces();
  dropUnfilled();
  if (!has(MODEL.formed)) now = resting = middleOfLongestWait();
  await startMoment();
  began('data');
  inspector();
  await loaded;
  fitGutter();
  await draw();
  began('drawn');
  legend();
  await startTables();
  pointer();
  moving();
  exporting();
  $('gl').addEventListener('click', e => { const button = e.target.closest('[data-group]'); if (button) unfold(+button.dataset.group); });
  controls();
  startKeys();
  startPrint();
  if (location.hash === '#moment') ACTIONS.moment();
  await startState();
  scrollStops();
  for (const what of ['message', 'view', 'time']) heed(what, scrollStops);
  began('ready');
  let wait, width = innerWidth;
  new ResizeObserver(() => {
    if (innerWidth === width) return;
    width = innerWidth; clearTimeout(wait);
    wait = setTimeout(() => { if (has(picked)) show(picked); draw(); }, 60);
  }).observe(document.body);
};
