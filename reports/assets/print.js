/* On paper: every table that has rows, up to PRINTED of them; the one that is open as it is filtered and sorted. Made
   when a printer asks, and let go again. What is folded is open on paper. (The timeline is export.js's.) */
const PRINTED = 200;
function printedTable(name) {
  const t = TABLES[name], own = name === tab, size = own ? shownRows.length : t.size;
  if (!size) return '';
  const chosenOrder = sorting;
  if (!own) sorting = null; // the indent of a tree asks for it
  const numbers = own ? Array.from(shownRows.subarray(0, PRINTED)) : Array.from({ length: Math.min(size, PRINTED) }, (_, i) => i);
  const head = t.columns.map(({ title, unit }) => `<th scope="col" class="${unit ? 'num' : ''}">${title}`).join('');
  const body = numbers.map(i => `<tr class="${t.bad(i) ? 'bad' : ''}">${t.columns.map(({ show, unit, style }) => `<td class="${unit ? 'num' : style ?? ''}">${show(i)}`).join('')}`).join('');
  sorting = chosenOrder;
  const part = size > PRINTED ? `the first ${PRINTED} of ${count(size, 'row')}` : count(size, 'row'), filtered = own && size < t.size ? `, of ${n(t.size)}` : '';
  return `<h3>${name} <span class="dim">${part}${filtered}</span></h3><table class="data"><thead><tr>${head}</thead><tbody>${body}</tbody></table>`;
}
function startPrint() {
  let folded = [];
  addEventListener('beforeprint', () => {
    $('printed').innerHTML = Object.keys(TABLES).map(printedTable).join('');
    folded = [...document.querySelectorAll('details:not([open])')];
    for (const one of folded) one.open = true;
  });
  addEventListener('afterprint', () => {
    $('printed').textContent = '';
    for (const one of folded) one.open = false;
  });
}
