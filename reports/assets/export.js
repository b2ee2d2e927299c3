/* The timeline as it stands, as a file (and, at the end, on paper): SVG, or PNG at twice the size. What is on the page is read back: plotly's paths and
   the hatches with the styles that they have in this theme, the heat map as an image, and every label where it lies, so
   that the file needs nothing else. Nothing leaves the page: the file is made here and handed over as a download. */
const SHOWN = ['fill', 'fill-opacity', 'stroke', 'stroke-width', 'stroke-opacity', 'stroke-dasharray', 'stroke-linecap', 'stroke-linejoin', 'opacity', 'display'];
const MARGIN = 16, HEAD = 44;
const xml = s => visible(s).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);

/* A copy of an SVG element with its computed styles written out. */
function frozen(element) {
  const copy = element.cloneNode(false), styles = getComputedStyle(element), keep = [];
  for (const name of [...copy.attributes].map(a => a.name)) if (name === 'class' || name === 'style' || name === 'id' && element.tagName !== 'pattern' || name.startsWith('data-') || SHOWN.includes(name)) copy.removeAttribute(name);
  for (const name of SHOWN) { const value = styles.getPropertyValue(name); if (value) keep.push(`${name}:${value.replaceAll('"', "'")}`); }
  if (element.tagName === 'text') keep.push(`font:${styles.font}`);
  copy.setAttribute('style', keep.join(';'));
  for (const child of element.childNodes) copy.append(child.nodeType === 1 ? frozen(child) : child.cloneNode());
  return copy;
}
const serialized = element => new XMLSerializer().serializeToString(element);

/* The text that an element holds itself, cut where it would run out of its column. */
function textAsSvg(element, left, top, edge = Infinity) {
  const styles = getComputedStyle(element), out = [], range = document.createRange();
  for (const node of element.childNodes) {
    if (node.nodeType !== 3 || !node.data.trim()) continue;
    range.selectNodeContents(node);
    const [line] = range.getClientRects();
    if (!line) continue;
    const room = Math.floor(node.data.length * (edge - line.left) / line.width), said = line.right > edge + 4 ? `${node.data.slice(0, Math.max(1, room - 1))}…` : node.data;
    out.push(`<text x="${line.left - left}" y="${line.top - top + line.height * 0.78}" fill="${styles.color}" style="font:${styles.fontWeight} ${styles.fontSize} ${styles.fontFamily.replaceAll('"', "'")}">${xml(said.trim())}</text>`);
  }
  return out.join('');
}
/* HTML as SVG: each line of text where the browser put it, each filled or edged box, each glyph. */
function htmlAsSvg(root, left, top) {
  const out = [], place = box => [box.left - left, box.top - top];
  for (const element of root.querySelectorAll('*')) {
    if (element.closest('svg') && element.tagName !== 'svg') continue;
    const styles = getComputedStyle(element), box = element.getBoundingClientRect(), [x, y] = place(box);
    if (styles.display === 'none' || styles.visibility === 'hidden') continue;
    if (element.tagName === 'svg') { const copy = frozen(element); copy.setAttribute('x', x); copy.setAttribute('y', y); out.push(serialized(copy)); continue; }
    if (!/rgba?\(.*, 0\)|transparent/.test(styles.backgroundColor)) out.push(`<rect x="${x}" y="${y}" width="${box.width}" height="${box.height}" rx="3" fill="${styles.backgroundColor}"/>`);
    for (const [side, x1, y1] of [['Top', box.width, 0], ['Left', 0, box.height]]) {
      const width = parseFloat(styles[`border${side}Width`]);
      if (width && element.tagName === 'DIV') out.push(`<path d="M${x} ${y}l${x1} ${y1}" stroke="${styles[`border${side}Color`]}" stroke-width="${width}" stroke-dasharray="${styles[`border${side}Style`] === 'dashed' ? '4 3' : 'none'}"/>`);
    }
    const before = getComputedStyle(element, '::before'); // the knot's dot
    if (before.content === '""' && before.borderRadius !== '0px') out.push(`<circle cx="${x + parseFloat(before.width) / 2}" cy="${y + box.height / 2}" r="${parseFloat(before.width) / 2}" fill="${before.backgroundColor}"/>`);
    out.push(textAsSvg(element, left, top, root.getBoundingClientRect().right));
  }
  return out.join('');
}

/* The view as one SVG text: { text, width, height }. */
function viewAsSvg() {
  const tl = $('tl'), outer = tl.getBoundingClientRect(), wrap = $('wrap').getBoundingClientRect(), styles = getComputedStyle(document.body);
  const width = Math.ceil(outer.width) + 2 * MARGIN, legend = $('legend').getBoundingClientRect(), below = legend.top - outer.top;
  const height = HEAD + Math.ceil(legend.bottom - outer.top) + MARGIN, x = wrap.left - outer.left, heat = $('heat');
  const plots = [...document.querySelectorAll('#plot .main-svg')].map(svg => { const copy = frozen(svg); copy.querySelectorAll('.draglayer, .hoverlayer, .infolayer, .drag').forEach(e => e.remove()); return serialized(copy); });
  const program = document.querySelector('.run').textContent, span = `${at(view[0], digits())} to ${at(view[1], digits())}`;
  const text = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<title>${xml(`Timeline of ${program}, ${span}`)}</title><defs>${[...document.querySelectorAll('.defs pattern')].map(p => serialized(frozen(p))).join('')}</defs>
<rect width="${width}" height="${height}" fill="${styles.backgroundColor}"/>
<text x="${MARGIN}" y="27" fill="${styles.color}" style="font:600 14px ${styles.fontFamily.replaceAll('"', "'")}">${xml(program)} <tspan font-weight="400" fill-opacity=".75">${xml(`${document.querySelector('.pill')?.textContent.trim() ?? ''} · ${span}`)}</tspan></text>
<g transform="translate(${MARGIN} ${HEAD})"><g transform="translate(${x} 0)"><image width="${heat.style.width}" height="${heat.style.height}" preserveAspectRatio="none" href="${heat.toDataURL()}"/>${plots.join('')}
<svg width="${wrap.width}" height="${wrap.height}">${htmlAsSvg($('overlay'), wrap.left, wrap.top)}</svg>${$('base').textContent ? textAsSvg($('base'), wrap.left, wrap.top) : ''}</g>
${htmlAsSvg($('gl'), outer.left, outer.top)}${htmlAsSvg($('gr'), outer.left, outer.top)}<g transform="translate(0 ${below})">${htmlAsSvg($('legend'), legend.left, legend.top)}</g></g></svg>`;
  return { text, width, height };
}
function download(blob, ending) {
  const link = document.createElement('a'), name = visible(document.querySelector('.run').textContent).replace(/\.py$/, '').replace(/[^\w.-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 60) || 'run';
  link.href = URL.createObjectURL(blob);
  link.download = `${name}-timeline.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
const EXPORTS = {
  svg: () => download(new Blob([viewAsSvg().text], { type: 'image/svg+xml' }), 'svg'),
  async png() {
    const { text, width, height } = viewAsSvg(), scale = Math.min(2, 16000 / height, 16000 / width), image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`; // a blob would make the canvas unreadable from a file
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: width * scale, height: height * scale }), paint = canvas.getContext('2d');
    paint.scale(scale, scale);
    paint.drawImage(image, 0, 0);
    download(await new Promise(done => canvas.toBlob(done, 'image/png')), 'png');
  },
};
function exporting() {
  for (const [ending, act] of Object.entries(EXPORTS)) $(`save-${ending}`).addEventListener('click', () => drawing.then(act));
  const paper = document.documentElement.classList;
  let before = null; // the view that is come back to
  addEventListener('beforeprint', () => { before ??= view; paper.add('paper'); zoomTo(0, END); });
  addEventListener('afterprint', () => { paper.remove('paper'); if (before) zoomTo(...before); before = null; });
}
