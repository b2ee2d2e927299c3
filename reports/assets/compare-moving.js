/* Moving about: wheel, drag, fingers, and what is under the pointer. All runs move together: they have one axis. */
const NEAREST = 50;
function zoomTo(a, b) {
  const end = endOfAll(), span = Math.min(end, Math.max(b - a, Math.min(end, NEAREST)));
  a = Math.min(Math.max(0, (a + b - span) / 2), end - span);
  view = [a, a + span];
  draw();
  keep();
}
const zoom = (factor, centre = (view[0] + view[1]) / 2) => zoomTo(centre - (centre - view[0]) * factor, centre + (view[1] - centre) * factor);
const pan = share => zoomTo(view[0] + share * (view[1] - view[0]), view[1] + share * (view[1] - view[0]));
const whole = () => zoomTo(0, endOfAll());

function tipAt(px, py) {
  for (const block of G.blocks) for (const [row, lane] of block.lanes.entries()) if (py >= lane.y && py < lane.y + lane.h) {
    const k = block.setting, t = unX(px) - shift(k), { begin, end, reason } = runs[k].lanes[row], setting = SETTINGS[k];
    if (px < gutter() || t < born(k, row) || t > gone(k, row)) return null;
    const i = seek(begin, t, true) - 1, waits = i >= 0 && (end[i] >= t || (runs[k].lanes[row].open[i] && i === begin.length - 1));
    const what = waits ? MODEL.reasons[reason[i]] : setting.lanes[row].traced ? 'runs' : 'is not traced';
    const from = waits ? begin[i] : i >= 0 ? end[i] : born(k, row), to = waits ? end[i] : begin[i + 1] ?? gone(k, row);
    return `<b>${setting.letter}: ${esc(setting.lanes[row].who)} ${what}</b><span class="dim">${at(from)}, ${dur(Math.max(0, to - from))}</span>`;
  }
  return null;
}

function moving() {
  const wrap = $('wrap'), tip = $('tip'), local = e => { const box = wrap.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
  wrap.addEventListener('wheel', e => { // alone it scrolls the page
    const across = e.shiftKey && !e.deltaX ? e.deltaY : e.deltaX;
    if (e.ctrlKey || e.metaKey) zoom(Math.exp(Math.max(-60, Math.min(60, e.deltaY)) * 0.006), unX(local(e)[0]));
    else if (Math.abs(across) > Math.abs(e.shiftKey ? 0 : e.deltaY)) pan(across / width());
    else return;
    e.preventDefault();
  }, { passive: false });
  const fingers = new Map();
  let from = null, drag = null;
  const anchor = () => { from = new Map([...fingers].map(([id, x]) => [id, unX(x)])); };
  wrap.addEventListener('pointerdown', e => {
    const [x] = local(e);
    if (e.pointerType === 'touch') { fingers.set(e.pointerId, x); anchor(); } else if (e.button === 0 && x >= gutter()) drag = { x, at: unX(x), moves: e.shiftKey };
  });
  addEventListener('pointermove', e => {
    const [x, y] = local(e);
    if (fingers.has(e.pointerId)) {
      fingers.set(e.pointerId, x);
      const [[a, x0], [b, x1] = []] = fingers;
      if (b === undefined) { const by = from.get(a) - unX(x0); if (Math.abs(by) > 2 * perPixel()) zoomTo(view[0] + by, view[1] + by); return; }
      const scale = (from.get(b) - from.get(a)) / (x1 - x0), begin = from.get(a) - (x0 - gutter()) * scale;
      if (scale > 0 && Math.abs(x1 - x0) > 8) zoomTo(begin, begin + scale * (width() - gutter() - 8));
      return;
    }
    if (drag?.moves) { const by = drag.at - unX(x); zoomTo(view[0] + by, view[1] + by); return; }
    if (drag) {
      $('box')?.remove();
      $('sides').insertAdjacentHTML('beforeend', `<rect id="box" class="box" x="${Math.min(drag.x, x)}" y="${TOP}" width="${Math.abs(x - drag.x)}" height="${G.height - TOP}"/>`);
      return;
    }
    if (!wrap.contains(e.target)) { tip.classList.remove('on'); return; }
    const html = tipAt(x, y);
    tip.classList.toggle('on', !!html);
    if (!html) return;
    tip.innerHTML = html;
    tip.style.left = `${Math.min(x + 14, width() - tip.offsetWidth - 4)}px`;
    tip.style.top = `${y + 18}px`;
  });
  for (const end of ['pointerup', 'pointercancel']) addEventListener(end, e => {
    if (fingers.delete(e.pointerId)) anchor();
    if (drag && !drag.moves && end === 'pointerup') {
      const [x] = local(e);
      $('box')?.remove();
      if (Math.abs(x - drag.x) > 5) zoomTo(...[drag.at, unX(x)].sort((a, b) => a - b));
    }
    drag = null;
  });
  wrap.addEventListener('dblclick', whole);
  wrap.addEventListener('pointerleave', () => tip.classList.remove('on'));
}
