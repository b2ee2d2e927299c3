/* Which rows of a table are listed: a search, a chip, and facets (a process, a channel, a reason, whatever the table is of).
   One pass over the rows decides and counts: behind each chip and choice stands how many rows it would list with
   everything else as it is. A million rows take a fraction of a second: what is compared is numbers, and each different
   text once. */
let chip = null;
const facets = {}; // which → the number that was chosen; kept from table to table, so that one follows a process through all
const FACETS = {
  process: { any: 'any process', names: () => PROCESSES.map(p => p.name === p.program ? `${p.name} ${p.pid}` : `${p.name} · ${p.program} ${p.pid}`) },
  channel: { any: 'any channel', names: () => CHANNELS.map(c => c.name) },
  reason: { any: 'any reason', names: () => REASONS.map(r => MODEL.reasons[r]) },
};

/* The search: `payload:lost`, `channel:"pipe A"`, `bytes>1000`, `for>0.1` (seconds) look at one column; what is left over
   is looked for, as it stands, in all. → [[column or null, operator, words]] */
function parse(query, t) {
  const terms = [];
  const rest = query.replace(/([\p{L}#]+)([:<>])(?:"([^"]*)"|(\S+))/gu, (whole, key, operator, quoted, word) => {
    const column = t.columns.find(c => c.key === key.toLowerCase());
    if (!column || (operator !== ':' && !column.unit)) return whole;
    terms.push([column, operator, (quoted ?? word).toLowerCase()]);
    return '';
  }).trim().replace(/\s+/g, ' ').toLowerCase();
  if (rest) terms.push([null, ':', rest]);
  return terms;
}

/* A test of rows, for one term. */
function matcher([column, operator, words], t) {
  if (column) return column.unit ? compared(column, operator, words) : (column.match ?? contained)(words, column);
  const numeric = /^[\d,]+(\.\d+)?$/.test(words), decimal = words.includes('.');
  const tests = t.columns.flatMap(c => !c.unit ? [(c.match ?? contained)(words, c)] : numeric && decimal === (c.unit > 1) ? [compared(c, ':', words)] : []);
  return i => { for (const test of tests) if (test(i)) return true; return false; };
}
/* Whether the text of a column holds the words; each different text is looked at once. */
function contained(words, { value }) {
  const known = new Map();
  return i => {
    const text = value(i);
    let found = known.get(text);
    if (found === undefined) known.set(text, found = has(text) && String(text).toLowerCase().includes(words));
    return found;
  };
}
/* A number as it was typed: equal as far as its digits go, or above, or below. */
function compared({ value, unit }, operator, words) {
  const typed = words.replaceAll(',', ''), number = +typed * unit, near = unit / 2 / 10 ** (typed.split('.')[1]?.length ?? 0);
  if (operator === '>') return i => value(i) > number;
  if (operator === '<') return i => value(i) < number;
  return i => Math.abs(value(i) - number) <= near;
}
/* Whether a payload holds the words: all payloads are one text, which is searched at once. Bytes as characters, so that
   nothing is decoded; letters of ASCII in either case. ⏎ stands for the end of a line, as it is shown. */
let allPayloads = null;
function inPayload(words) {
  const asText = bytes => new TextDecoder('latin1').decode(bytes);
  allPayloads ??= asText(payload.map(byte => byte >= 65 && byte <= 90 ? byte + 32 : byte));
  const needle = asText(new TextEncoder().encode(words.replaceAll('⏎', '\n'))), found = new Uint8Array(M.begin.length);
  for (let from = allPayloads.indexOf(needle); needle && from >= 0; from = allPayloads.indexOf(needle, from)) {
    const i = seek(M.at, from, true) - 1, end = M.at[i] + M.kept[i];
    found[i] |= from + needle.length <= end;
    from = found[i] ? end : from + 1; // one place in a payload is enough
  }
  return i => found[i] === 1;
}

/* { rows, chips: [count], facets: { process: [count by number] } } */
function chosen(t, query) {
  const terms = parse(query, t).map(term => matcher(term, t)), rows = new Uint32Array(t.size);
  const kinds = Object.keys(t.about ?? {}).map(which => [which, t.about[which], facets[which] ?? null]);
  const wanted = t.chips.findIndex(([label]) => label === chip), chips = t.chips.map(() => 0);
  const counted = Object.fromEntries(kinds.map(([which]) => [which, new Uint32Array(FACETS[which].names().length)]));
  const CHIP = kinds.length, NONE = CHIP + 1, lists = kinds.map(([which]) => counted[which]);
  let size = 0;
  rows: for (let i = 0; i < t.size; i++) {
    for (const test of terms) if (!test(i)) continue rows;
    let failed = NONE; // the one of chip and facets that keeps the row out; with two that do it counts nowhere
    for (let k = 0; k < CHIP; k++) {
      const [, values, only] = kinds[k];
      if (only === null || values[0](i) === only || values[1]?.(i) === only) continue;
      if (failed !== NONE) continue rows;
      failed = k;
    }
    if (wanted >= 0 && !t.chips[wanted][1](i)) { if (failed !== NONE) continue; failed = CHIP; }
    if (failed === NONE) rows[size++] = i;
    if (failed === NONE || failed === CHIP) for (let k = 0; k < chips.length; k++) if (t.chips[k][1](i)) chips[k]++;
    for (let k = 0; k < CHIP; k++) if (failed === NONE || failed === k) {
      const values = kinds[k][1], first = values[0](i), second = values[1]?.(i);
      if (first >= 0) lists[k][first]++;
      if (second >= 0 && second !== first) lists[k][second]++;
    }
  }
  return { rows: rows.subarray(0, size), chips, facets: counted };
}

/* The selects, kept while their table is shown, so that they keep the focus; their choices with the counts of now. */
function drawFacets(t, counted) {
  const kinds = Object.keys(t.about ?? {}), box = $('facets');
  if (box.dataset.kinds !== kinds.join()) {
    box.dataset.kinds = kinds.join();
    box.innerHTML = kinds.map(which => `<label>${which} <select data-facet="${which}"></select></label>`).join('');
  }
  for (const which of kinds) {
    const select = box.querySelector(`[data-facet="${which}"]`), names = FACETS[which].names(), only = facets[which] ?? null;
    const all = names.map((name, k) => [name, k, counted[which][k]]).filter(([, k, times]) => times || k === only);
    select.innerHTML = `<option value="">${FACETS[which].any}</option>${all.map(([name, k, times]) => `<option value="${k}"${k === only ? ' selected' : ''}>${esc(longer(name, 60))} (${n(times)})</option>`).join('')}`;
  }
}
