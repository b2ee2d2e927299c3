/* Moving about the timeline: wheel, fingers, and plotly's own drag. (The keys are in keys.js.) */
const NEAREST = 50; // ns in view at the closest: a tick a few nanoseconds, finer than any clock here

function zoomTo(a, b) {
  const width = Math.min(END, Math.max(b - a, Math.min(END, NEAREST)));
  a = Math.min(Math.max(0, (a + b - width) / 2), END - width);
  view = [a, a + width];
  return draw();
}
function zoom(factor, centre = now >= view[0] && now <= view[1] ? now : (view[0] + view[1]) / 2) { // about the cursor where it is in view
  return zoomTo(centre - (centre - view[0]) * factor, centre + (view[1] - centre) * factor);
}
const pan = share => zoomTo(view[0] + share * (view[1] - view[0]), view[1] + share * (view[1] - view[0]));

function moving() {
  const wrap = $('wrap'), left = () => $('plot').getBoundingClientRect().left;
  wrap.addEventListener('wheel', e => { // alone it scrolls the page: a timeline that swallows the wheel is a trap
    const across = e.shiftKey && !e.deltaX ? e.deltaY : e.deltaX;
    if (e.ctrlKey || e.metaKey) zoom(Math.exp(Math.max(-60, Math.min(60, e.deltaY)) * 0.006), unX(e.clientX - left()));
    else if (Math.abs(across) > Math.abs(e.shiftKey ? 0 : e.deltaY)) pan(across / plotWidth());
    else return;
    e.preventDefault();
  }, { passive: false });

  // Fingers: one moves, two zoom about what lies between them. Up and down stays the page's own scrolling.
  const fingers = new Map();
  let from = null; // { time: under each finger as the gesture began }
  const anchor = () => { from = new Map([...fingers].map(([id, x]) => [id, unX(x)])); };
  wrap.addEventListener('touchstart', e => e.stopPropagation(), { capture: true, passive: true }); // plotly would draw its zoom box
  wrap.addEventListener('pointerdown', e => { if (e.pointerType === 'touch') { fingers.set(e.pointerId, e.clientX - left()); anchor(); } });
  wrap.addEventListener('pointermove', e => {
    if (!fingers.has(e.pointerId)) return;
    fingers.set(e.pointerId, e.clientX - left());
    const [[a, x0], [b, x1] = []] = fingers;
    if (b === undefined) { const shift = from.get(a) - unX(x0); if (Math.abs(shift) > 2 * perPixel()) zoomTo(view[0] + shift, view[1] + shift); return; }
    if (Math.abs(x1 - x0) < 8) return;
    const scale = (from.get(b) - from.get(a)) / (x1 - x0), begin = from.get(a) - x0 * scale;
    if (scale > 0) zoomTo(begin, begin + scale * plotWidth());
  });
  for (const end of ['pointerup', 'pointercancel']) addEventListener(end, e => { if (fingers.delete(e.pointerId)) anchor(); });
  figure.on('plotly_relayout', e => { if (!busy && e['xaxis.range[0]'] !== undefined) zoomTo(+e['xaxis.range[0]'], +e['xaxis.range[1]']); });
}
