/* The tables. A table is { size, columns, chips, open? }; a column is [title, value, show?, numeric?]: `value(i)` is what
   is sorted and searched, `show(i)` its HTML. Rows are numbers into the typed columns: nothing is made before it is seen,
   and above WINDOW rows only those in the scrolled window are in the page. */
const WINDOW = 200, ROW = 30;
const mono = text => `<span class="c">${text}</span>`;
const or = (x, show, none = '·') => has(x) && x !== '' ? show(x) : none;

function tables() {
  const text = (title, value) => [title, value, i => or(value(i), v => esc(v))];
  const code = (title, value) => [title, value, i => mono(or(value(i), v => esc(v)))];
  const number = (title, value, show = n) => [title, value, i => or(value(i), v => show(v, i)), true];
  const list = rows => [rows.length, key => i => rows[i][key]];
  const [channelCount, channel] = list(CHANNELS), [findingCount, finding] = list(MODEL.findings), [streamCount, stream] = list(MODEL.streams);
  const processes = [...new Map(LANES.map(lane => [lane.process, lane])).values()], [processCount, process] = list(processes);
  return {
    Messages: {
      size: M.begin.length, bad: i => !has(M.written[i]), open: i => { pick(i, false); go(M.begin[i]); draw(); },
      columns: [
        number('#', i => M.number[i]), text('from', writerOf), text('to', i => has(M.written[i]) ? readerOf(i) : 'nobody yet'), text('channel', i => channelName(M.channel[i])),
        number('bytes', i => M.size[i]), number('written', i => M.begin[i], v => at(v)),
        ['in writer’s buffer', i => has(M.held[i]) ? M.held[i] : Infinity, i => has(M.held[i]) ? (M.held[i] > 0 ? dur(M.held[i]) : '·') : 'still there', true],
        ['in channel', i => has(M.transit[i]) ? M.transit[i] : Infinity, i => M.unseen[i] ? 'not known' : has(M.transit[i]) ? dur(Math.max(0, M.transit[i])) : has(M.written[i]) ? 'still there' : 'never', true],
        code('site', i => place(M.accept_site[i])), ['payload', i => textOf(i), i => `<span class="c">${or(textOf(i).slice(0, 160), v => esc(v), 'not recorded')}</span>`, false, 'text'],
      ],
      chips: [['stuck', i => !has(M.written[i])], ['over 100 ms', i => (has(M.held[i]) ? M.held[i] : Infinity) + (has(M.transit[i]) ? M.transit[i] : 0) > 1e8], ['merged', i => M.merged[i] === 1], ['end not traced', i => M.unseen[i] > 0], ['not read', i => has(M.written[i]) && !has(M.read[i])]],
      none: `No bytes passed between processes. ${count(processes.length, 'program')} ran.`,
    },
    Blocking: {
      size: W.begin.length, bad: i => W.open[i] && LANES[W.lane[i]]?.role === 'core', open: i => { go(W.begin[i]); },
      columns: [
        text('thread', i => who(W.lane[i])), ['reason', i => MODEL.reasons[REASONS[W.reason[i]]], i => `${swatch(REASONS[W.reason[i]])} ${MODEL.reasons[REASONS[W.reason[i]]]}`],
        code('in', i => MODEL.labels[W.label[i]]), text('on', i => channelName(W.channel[i])), text('ended by', i => W.open[i] ? 'nobody' : has(W.by[i]) ? who(W.by[i]) : '·'), number('since', i => W.begin[i], v => at(v)),
        ['for', i => W.length[i], i => dur(W.length[i]) + (W.open[i] ? (MODEL.verdict === 'deadlock' && LANES[W.lane[i]]?.role === 'core' ? ', for ever' : ', not ended') : ''), true], code('site', i => place(W.site[i])),
      ],
      chips: [['never ended', i => W.open[i] === 1], ...REASONS.filter(r => !['run', 'unseen'].includes(r)).map(r => [MODEL.reasons[r], i => REASONS[W.reason[i]] === r])],
      none: 'No thread waited for anything.',
    },
    Channels: {
      size: channelCount, bad: i => MODEL.stuck.some(s => s.channel === i),
      columns: [
        text('channel', channel('name')), text('kind', channel('kind')), number('inode', channel('inode'), v => v), text('writers', channel('writers')), text('readers', channel('readers')),
        number('messages', channel('messages')), number('bytes written', channel('written')), number('left in it', channel('left')), number('capacity', channel('capacity')), number('in writer’s buffer', i => fillAt(i, END).user), code('path', channel('path')),
      ],
      chips: [['unread bytes', i => CHANNELS[i].left > 0]], none: 'No descriptor led to a channel.',
    },
    Processes: {
      size: processCount, bad: () => false,
      columns: [number('pid', process('pid'), v => v), text('name', process('program')), ['traced', i => processes[i].traced ? 'yes' : 'no', i => processes[i].traced ? 'yes' : 'no: known from /proc'], number('started', process('started'), v => at(v)), ['ended', process('ended'), i => or(processes[i].ended, v => at(v), 'alive at the end'), true]],
      chips: [['not traced', i => !processes[i].traced]], none: 'No process.',
    },
    Streams: {
      size: streamCount, bad: i => MODEL.streams[i].held > 0,
      columns: [text('process', stream('process')), code('stream', stream('name')), number('fd', stream('fd')), text('leads to', stream('to')), text('buffering', stream('buffering')), text('because', stream('why')), number('held, bytes', stream('held')), number('peak, bytes', stream('peak')), number('flushes', stream('flushes'))],
      chips: [['holds bytes', i => MODEL.streams[i].held > 0]], none: 'No stream of a traced program led to a pipe, a file or a terminal.',
    },
    Findings: {
      size: findingCount, bad: i => MODEL.findings[i].severity === 'error',
      columns: [['code', finding('code'), i => `<a href="#${esc(MODEL.findings[i].code)}"><b>${esc(MODEL.findings[i].code)}</b></a>`], text('name', finding('name')), text('severity', finding('severity')), text('certainty', finding('certainty')), ['what is so', finding('text'), i => esc(MODEL.findings[i].text), false, 'wrap'], code('site', i => place(MODEL.findings[i].site)), text('threads', finding('threads'))],
      chips: [['errors', i => MODEL.findings[i].severity === 'error']], none: 'Nothing found.',
    },
  };
}

let TABLES, tab = 'Messages', sorting = null, chip = null, shownRows = [], counts = {};

/* Row numbers that pass the chip and the search, in the chosen order. */
function chosen(t) {
  const words = $('q').value.toLowerCase(), test = t.chips.find(([label]) => label === chip)?.[1], rows = [];
  const matches = i => t.columns.some(([, value]) => { const v = value(i); return typeof v === 'string' ? v.toLowerCase().includes(words) : has(v) && String(v).includes(words); });
  for (let i = 0; i < t.size; i++) if ((!test || test(i)) && (!words || matches(i))) rows.push(i);
  if (!sorting) return rows;
  const value = t.columns[sorting[0]][1], way = sorting[1];
  const keys = new Map(rows.map(i => [i, value(i)]));
  return rows.sort((i, j) => { const a = keys.get(i), b = keys.get(j); return !has(a) ? 1 : !has(b) ? -1 : (a > b ? 1 : a < b ? -1 : 0) * way; });
}

function table() {
  const t = TABLES[tab];
  shownRows = chosen(t);
  counts[tab] ??= t.chips.map(([, test]) => { let c = 0; for (let i = 0; i < t.size; i++) if (test(i)) c++; return c; });
  $('tabs').innerHTML = Object.keys(TABLES).map(name => `<button role="tab" aria-selected="${name === tab}" data-tab="${name}">${name} ${n(TABLES[name].size)}</button>`).join('');
  const used = t.chips.map((c, k) => [c[0], counts[tab][k]]).filter(([label, c], k) => c || k < 4);
  $('filters').innerHTML = t.size ? used.map(([label, c]) => `<button aria-pressed="${label === chip}" data-chip="${label}">${label} ${n(c)}</button>`).join('') : '';
  const tall = shownRows.length > WINDOW;
  $('window').classList.toggle('tall', tall);
  $('window').scrollTop = 0;
  rows();
  $('count').textContent = tall || shownRows.length !== t.size ? `${n(shownRows.length)} of ${n(t.size)}` : '';
  tell('table');
}

function rows() { // the visible rows, between two empty ones that stand for the rest
  const t = TABLES[tab], tall = shownRows.length > WINDOW, q = $('q').value;
  if (!shownRows.length) {
    const why = `No ${tab.toLowerCase()} match${chip ? ` “${chip}”` : ''}${q ? `${chip ? ' and' : ''} “${esc(q)}”` : ''}.`;
    $('table').innerHTML = `<tbody><tr><td class="empty">${t.size ? `${why} <button id="clear">Show all ${n(t.size)}</button>` : t.none}</tbody>`;
    return;
  }
  const from = tall ? Math.max(0, Math.floor($('window').scrollTop / ROW) - 20) : 0, to = tall ? Math.min(shownRows.length, from + 62) : shownRows.length;
  const head = t.columns.map(([title, , , numeric], k) => `<th class="${numeric ? 'num' : ''}" aria-sort="${sorting?.[0] === k ? (sorting[1] > 0 ? 'ascending' : 'descending') : 'none'}"><button data-sort="${k}">${title}</button>`).join('');
  const pad = height => height > 0 ? `<tr class="pad" aria-hidden="true"><td colspan="${t.columns.length}" style="height:${height}px">` : '';
  const body = shownRows.slice(from, to).map(i => `<tr class="${t.bad(i) ? 'bad' : ''}"${t.open ? ` data-row="${i}"` : ''}>${t.columns.map(([, value, show, numeric, style]) => `<td class="${numeric ? 'num' : style ?? ''}">${show(i)}`).join('')}`).join('');
  $('table').innerHTML = `<thead><tr>${head}</thead><tbody>${pad(from * ROW)}${body}${pad((shownRows.length - to) * ROW)}</tbody>`;
}

function startTables() {
  TABLES = tables();
  if (!TABLES.Messages.size && TABLES.Blocking.size) tab = 'Blocking';
  $('tables').addEventListener('click', e => {
    const { tab: name, chip: label, sort } = e.target.dataset, row = e.target.closest('tr[data-row]');
    if (name) { tab = name; sorting = chip = null; } else if (label) chip = chip === label ? null : label;
    else if (sort) sorting = sorting?.[0] === +sort && sorting[1] > 0 ? [+sort, -1] : [+sort, 1];
    else if (e.target.id === 'clear') { chip = null; $('q').value = ''; } else { if (row && !getSelection().toString()) TABLES[tab].open(+row.dataset.row); return; }
    table();
  });
  let wait;
  $('q').addEventListener('input', () => { clearTimeout(wait); wait = setTimeout(table, TABLES[tab].size > 5000 ? 250 : 0); });
  $('window').addEventListener('scroll', () => { if (shownRows.length > WINDOW) rows(); }, { passive: true });
  table();
}
