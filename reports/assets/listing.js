/* What each table lists. A table is { size, columns, chips, about, bad, where, open, none }; its rows are numbers into the typed
   columns: nothing is made before it is seen. A column is { title, key, value, show, unit?, style?, match? }: `value(i)` is
   what is sorted and searched, `show(i)` its HTML, `key` the word before a colon in the search, `unit` makes it a number
   (ns: 1e9). `about` says what a row names (processes, channels, a reason), `where` when and where on the timeline it
   lies ([begin, end, lane?, channel?]), `open` what else happens when it is chosen. */
const mono = text => `<span class="c">${text}</span>`;
const or = (x, show, none = '·') => has(x) && x !== '' ? show(x) : none;
const keyOf = title => title.toLowerCase().replace(/[^\p{L}#]/gu, '');
const PROCESSES = MODEL.processes;
const PLACES = SITES.map((_, s) => place(s)), placeOf = s => PLACES[s] ?? '';
const nameOf = channel => CHANNELS[channel]?.name;
const laneProcess = lane => LANES[lane]?.process;
const longer = (text, most = 160) => text.length > most ? `${text.slice(0, most)}…` : text;

/* Kinds of columns; `more` overrides. */
const COLUMNS = {
  text: (title, value, more) => ({ title, key: keyOf(title), value, show: i => or(value(i), v => esc(v)), ...more }),
  typed: (title, value, more) => COLUMNS.text(title, value, { show: i => mono(or(value(i), v => esc(longer(v)))), ...more }),
  amount: (title, value, more) => ({ title, key: keyOf(title), value, unit: 1, show: i => or(value(i), n), ...more }),
  plain: (title, value, more) => COLUMNS.amount(title, value, { show: i => or(value(i), v => v), ...more }),
  clock: (title, value, more) => COLUMNS.amount(title, value, { unit: 1e9, show: i => or(value(i), v => at(v)), ...more }),
  span: (title, value, more) => COLUMNS.amount(title, value, { unit: 1e9, show: i => or(value(i), v => v > 0 ? dur(v) : '·'), ...more }),
  share: (title, value, more) => COLUMNS.amount(title, i => 100 * value(i) / END, { key: 'share', show: i => (100 * value(i) / END).toFixed(1), ...more }),
  reason: (title, value) => COLUMNS.text(title, i => MODEL.reasons[value(i)], { show: i => `${swatch(value(i))} ${MODEL.reasons[value(i)]}` }),
};
/* Columns over a list of objects: [kind, title, field, more?]. */
const fields = (list, columns) => columns.map(([kind, title, field, more]) => COLUMNS[kind](title, i => list[i][field], more));
/* One chip a value. */
const each = (names, words, value) => names.map((name, k) => [words(name), i => value(i) === k]);
const endless = (values, i) => has(values[i]) ? Math.max(0, values[i]) : Infinity;
const ACCESS = ['read', 'write', 'read and write'], HOW = ['inherited', 'made', 'opened', 'duplicated'], RACING = ['send', 'receive'];

async function listing() {
  const [D, B, P, S] = await Promise.all(['descriptors', 'matrix', 'path', 'sampled'].map(load)); // R, the races, is causes.js's
  const { text, typed, amount, plain, clock, span, share, reason } = COLUMNS;
  const why = i => REASONS[W.reason[i]], mark = i => MARKS[K.kind[i]];
  const lived = LANES.map((_, lane) => sums(lane)), tree = MODEL.lineage;
  return {
    Messages: {
      size: M.begin.length, bad: i => !has(M.written[i]), where: i => [M.begin[i], has(M.read[i]) ? M.read[i] : has(M.written[i]) ? M.written[i] : M.begin[i]], open: i => pick(i, false),
      columns: [
        amount('#', i => M.number[i]), text('from', writerOf), text('to', i => has(M.written[i]) ? readerOf(i) : 'nobody yet'), text('channel', i => channelName(M.channel[i])),
        amount('bytes', i => CHANNELS[M.channel[i]].items ? NaN : M.size[i]), clock('written', i => M.begin[i]),
        span('in writer’s buffer', i => endless(M.held, i), { key: 'held', show: i => has(M.held[i]) ? (M.held[i] > 0 ? dur(M.held[i]) : '·') : 'still there' }),
        span('in channel', i => endless(M.transit, i), { key: 'transit', show: i => M.unseen[i] ? 'not known' : has(M.transit[i]) ? dur(Math.max(0, M.transit[i])) : has(M.written[i]) ? 'still there' : 'never' }),
        typed('site', i => placeOf(M.accept_site[i])),
        typed('payload', textOf, { show: i => mono(or(longer(textOf(i)), v => esc(v), CHANNELS[M.channel[i]].items ? 'an object' : M.size[i] ? 'not recorded' : 'empty')), style: 'text', match: inPayload }),
      ],
      about: { process: [i => laneProcess(M.writer[i]), i => laneProcess(M.reader[i])], channel: [i => M.channel[i]] },
      chips: [['stuck', i => !has(M.written[i])], ['over 100 ms', i => endless(M.held, i) + (has(M.transit[i]) ? M.transit[i] : 0) > 1e8], ['not read', i => has(M.written[i]) && !has(M.read[i])], ['merged', i => M.merged[i] === 1], ['end not traced', i => M.unseen[i] > 0]],
      none: `No bytes passed between processes. ${count(PROCESSES.length, 'program')} ran.`,
    },
    Blocking: {
      size: W.begin.length, bad: i => W.open[i] && LANES[W.lane[i]]?.role === 'core', where: i => [W.begin[i], W.end[i], W.lane[i]],
      columns: [
        text('thread', i => who(W.lane[i])), reason('reason', why), typed('in', i => MODEL.labels[W.label[i]]), text('on', i => nameOf(W.channel[i])),
        text('ended by', i => W.open[i] ? 'nobody' : has(W.by[i]) ? who(W.by[i]) : null, { key: 'by' }), clock('since', i => W.begin[i]),
        span('for', i => W.length[i], { show: i => dur(W.length[i]) + (W.open[i] ? (MODEL.verdict === 'deadlock' && LANES[W.lane[i]]?.role === 'core' ? ', for ever' : ', not ended') : '') }), typed('site', i => placeOf(W.site[i])),
      ],
      about: { process: [i => laneProcess(W.lane[i]), i => laneProcess(W.by[i])], channel: [i => W.channel[i]], reason: [i => W.reason[i]] },
      chips: [['never ended', i => W.open[i] === 1], ['over 100 ms', i => W.length[i] > 1e8], ['over 1 s', i => W.length[i] > 1e9], ['ended by nobody known', i => !W.open[i] && !has(W.by[i])]],
      none: 'No thread waited for anything.',
    },
    Findings: {
      size: MODEL.findings.length, bad: i => MODEL.findings[i].severity === 'error', open: i => { location.hash = MODEL.findings[i].code; },
      columns: [text('code', i => MODEL.findings[i].code, { show: i => `<a tabindex="-1" href="#${esc(MODEL.findings[i].code)}"><b>${esc(MODEL.findings[i].code)}</b></a>` }), ...fields(MODEL.findings, [['text', 'name', 'name'], ['text', 'severity', 'severity'], ['text', 'certainty', 'certainty']]), text('what is so', i => MODEL.findings[i].text, { key: 'text', style: 'wrap' }), typed('site', i => place(MODEL.findings[i].site)), text('threads', i => MODEL.findings[i].threads)],
      chips: [['errors', i => MODEL.findings[i].severity === 'error'], ['warnings', i => MODEL.findings[i].severity === 'warning']], none: 'Nothing found.',
    },
    Channels: {
      size: CHANNELS.length, bad: i => MODEL.stuck.some(s => s.channel === i), where: i => traffic[i].begin.length ? [traffic[i].begin[0], traffic[i].reach.at(-1), null, i] : null,
      columns: [
        ...fields(CHANNELS, [['text', 'channel', 'name'], ['text', 'kind', 'kind'], ['plain', 'inode', 'inode'], ['text', 'writers', 'writers'], ['text', 'readers', 'readers'], ['amount', 'messages', 'messages'], ['amount', 'bytes written', 'written'], ['amount', 'left in it', 'left'], ['amount', 'capacity', 'capacity']]),
        amount('in writer’s buffer', i => fillAt(i, END).user, { key: 'held' }),
        ...['w', 'r'].map(way => text(way === 'w' ? 'write ends open' : 'read ends open', i => CHANNELS[i].open[way].join(', '), { style: 'wrap' })), typed('path', i => CHANNELS[i].path),
      ],
      about: { channel: [i => i] },
      chips: [['unread bytes', i => CHANNELS[i].left > 0], ['bytes in a writer’s buffer', i => fillAt(i, END).user > 0], ['carried messages', i => CHANNELS[i].messages > 0]], none: 'No descriptor led to a channel.',
    },
    Processes: {
      size: tree.length, bad: i => LANES.some(lane => lane.process === tree[i] && lane.role === 'core'), where: i => [PROCESSES[tree[i]].started, PROCESSES[tree[i]].ended ?? END, LANES.findIndex(lane => lane.process === tree[i])],
      level: i => PROCESSES[tree[i]].depth + 1,
      columns: [
        text('process', i => PROCESSES[tree[i]].name, { show: i => `<span style="padding-left:${sorting ? 0 : Math.min(12, PROCESSES[tree[i]].depth) * 18}px">${!sorting && PROCESSES[tree[i]].depth ? '<span class="dim" aria-hidden="true">└ </span>' : ''}${esc(PROCESSES[tree[i]].name)}</span>` }),
        plain('pid', i => PROCESSES[tree[i]].pid), text('parent', i => { const { parent } = PROCESSES[tree[i]]; return has(parent) ? PROCESSES[parent].name : null; }),
        ...fields(tree.map(p => PROCESSES[p]), [['text', 'started by', 'how']]), typed('at', i => placeOf(PROCESSES[tree[i]].site)),
        ...fields(tree.map(p => PROCESSES[p]), [['clock', 'started', 'started']]),
        clock('ended', i => PROCESSES[tree[i]].ended ?? Infinity, { show: i => or(PROCESSES[tree[i]].ended, v => at(v), 'did not end') }),
        ...fields(tree.map(p => PROCESSES[p]), [['text', 'with', 'end'], ['text', 'traced', 'traced'], ['typed', 'command line', 'command', { key: 'command' }], ['text', 'interpreter', 'interpreter'], ['typed', 'directory', 'cwd']]),
      ],
      about: { process: [i => tree[i]] },
      chips: [['not traced', i => PROCESSES[tree[i]].traced !== 'yes'], ['did not end', i => !has(PROCESSES[tree[i]].ended)], ['failed', i => !['exit 0'].includes(PROCESSES[tree[i]].end) && /^exit|^ended by/.test(PROCESSES[tree[i]].end)]], none: 'No process.',
    },
    Threads: {
      size: LANES.length, bad: i => LANES[i].role === 'core', where: i => [born(i), gone(i), i],
      columns: [
        ...fields(LANES, [['text', 'thread', 'who'], ['text', 'program', 'program'], ['plain', 'pid', 'pid'], ['text', 'name', 'thread']]), text('in the knot', i => ({ core: 'in the knot', victim: 'behind the knot', bystander: 'cannot help' })[LANES[i].role], { key: 'knot' }),
        clock('started', born), clock('ended', i => LANES[i].ended ?? Infinity, { show: i => or(LANES[i].ended, v => at(v), 'did not end') }), span('lived', i => gone(i) - born(i)),
        span('running', i => LANES[i].traced ? Math.max(0, gone(i) - born(i) - lived[i].reduce((a, b) => a + b, 0)) : NaN, { show: i => LANES[i].traced ? dur(Math.max(0, gone(i) - born(i) - lived[i].reduce((a, b) => a + b, 0))) : 'not known' }),
        ...REASONS.map((name, k) => [name, k]).filter(([, k]) => lived.some(one => one[k])).map(([name, k]) => span(MODEL.reasons[name], i => lived[i][k], { key: name })),
      ],
      about: { process: [laneProcess] }, chips: [['in the knot', i => LANES[i].role === 'core'], ['not traced', i => !LANES[i].traced]], none: 'No thread.',
    },
    Descriptors: {
      size: D.fd.length, bad: i => MODEL.stuck.some(s => s.channel === D.channel[i] && !has(D.closed[i])), where: i => [D.opened[i], has(D.closed[i]) ? D.closed[i] : END, LANES.findIndex(lane => lane.process === D.process[i]), D.channel[i]],
      columns: [
        text('process', i => PROCESSES[D.process[i]].name), plain('fd', i => D.fd[i]), text('channel', i => channelName(D.channel[i])), text('end', i => ACCESS[D.access[i]]),
        text('how', i => HOW[D.how[i]]), text('from', i => D.how[i] ? null : has(PROCESSES[D.process[i]].parent) ? PROCESSES[PROCESSES[D.process[i]].parent].name : 'whoever started the run'),
        clock('opened', i => D.opened[i]), clock('closed', i => has(D.closed[i]) ? D.closed[i] : Infinity, { show: i => or(D.closed[i], v => at(v), 'still open') }), text('used', i => D.used[i] ? 'yes' : 'never'), typed('site', i => placeOf(D.site[i])),
      ],
      about: { process: [i => D.process[i]], channel: [i => D.channel[i]] },
      chips: [['still open', i => !has(D.closed[i])], ['inherited', i => D.how[i] === 0], ['never used', i => !D.used[i]], ['write ends', i => D.access[i] > 0]], none: 'No descriptor led to a channel.',
    },
    Streams: {
      size: MODEL.streams.length, bad: i => MODEL.streams[i].held > 0,
      columns: fields(MODEL.streams, [['text', 'process', 'process'], ['typed', 'stream', 'name'], ['plain', 'fd', 'fd'], ['text', 'leads to', 'to'], ['text', 'buffering', 'buffering'], ['text', 'because', 'why'], ['amount', 'held, bytes', 'held'], ['amount', 'peak, bytes', 'peak'], ['amount', 'flushes', 'flushes']]),
      chips: [['holds bytes', i => MODEL.streams[i].held > 0], ['block-buffered', i => MODEL.streams[i].buffering.startsWith('block')]], none: 'No stream of a traced program led to a pipe, a file or a terminal.',
    },
    Events: {
      size: K.time.length, bad: () => false, where: i => [K.time[i], K.time[i], K.lane[i]],
      columns: [clock('time', i => K.time[i]), text('thread', i => who(K.lane[i])), text('event', i => MARK_WORDS[mark(i)] ?? mark(i), { show: i => `${GLYPHS[mark(i)] ?? ''} ${esc(MARK_WORDS[mark(i)] ?? mark(i))}` }), text('what', markWords, { style: 'wrap' }), text('other', i => has(K.other[i]) ? who(K.other[i]) : null), typed('site', i => placeOf(K.site[i])), typed('source', i => SITES[K.site[i]]?.text?.trim())],
      about: { process: [i => laneProcess(K.lane[i]), i => laneProcess(K.other[i])] }, chips: [...new Set(MARKS.filter((_, kind) => K.kind.includes(kind)).map(name => MARK_WORDS[name] ?? name))].map(words => [words, i => (MARK_WORDS[mark(i)] ?? mark(i)) === words]), none: 'No process forked, ran another program, or ended on its own.',
    },
    'Who for whom': {
      size: B.time.length, bad: i => LANES[B.lane[i]]?.role === 'core' && LANES[B.by[i]]?.role === 'core',
      columns: [text('thread', i => who(B.lane[i])), text('waited for', i => has(B.by[i]) ? who(B.by[i]) : 'nobody that is known', { key: 'by' }), span('in all', i => B.time[i]), amount('times', i => B.count[i]), span('on average', i => B.time[i] / B.count[i]), share('% of the run', i => B.time[i])],
      about: { process: [i => laneProcess(B.lane[i]), i => laneProcess(B.by[i])] }, chips: [['nobody known', i => !has(B.by[i])]], none: 'No thread waited for another.',
    },
    'Critical path': {
      size: P.begin.length, bad: () => false, where: i => [P.begin[i], P.begin[i] + P.length[i], P.lane[i]],
      columns: [amount('#', i => i + 1), text('thread', i => has(P.lane[i]) ? who(P.lane[i]) : null), reason('what', i => REASONS[P.what[i]]), clock('since', i => P.begin[i]), span('for', i => P.length[i], { show: i => dur(P.length[i]) }), share('% of the run', i => P.length[i]), typed('site', i => placeOf(P.site[i])), typed('source', i => SITES[P.site[i]]?.text?.trim())],
      about: { process: [i => laneProcess(P.lane[i])], reason: [i => P.what[i]] }, chips: [['runs', i => REASONS[P.what[i]] === 'run'], ['waits', i => REASONS[P.what[i]] !== 'run']], none: 'No critical path: nothing ran that is known.',
    },
    Races: {
      size: R.begin.length, bad: () => false, where: i => [Math.min(R.begin[i], R.end[i]), Math.max(R.begin[i], R.end[i]), R.first_lane[i], R.channel[i]],
      columns: [text('of', i => RACING[R.receive[i]]), text('channel', i => channelName(R.channel[i])), text('first', i => who(R.first_lane[i])), clock('at', i => R.begin[i]), typed('its site', i => placeOf(R.first_site[i])), text('second', i => who(R.second_lane[i])), clock('then at', i => R.end[i]), typed('its site ', i => placeOf(R.second_site[i]), { key: 'secondsite' }), amount('on this channel', i => R.count[i], { key: 'times' })],
      about: { process: [i => laneProcess(R.first_lane[i]), i => laneProcess(R.second_lane[i])], channel: [i => R.channel[i]] }, chips: each(RACING, name => name, i => R.receive[i]), none: 'No race was found: every order of messages is given by the program.',
    },
    Sampled: {
      size: S.begin.length, bad: () => false, where: i => [S.begin[i], S.begin[i] + S.length[i], LANES.findIndex(lane => lane.process === S.process[i])],
      columns: [text('process', i => PROCESSES[S.process[i]].name), plain('thread', i => S.tid[i]), reason('reason', i => REASONS[S.reason[i]]), typed('in', i => MODEL.syscalls[S.call[i]]), text('on', i => nameOf(S.channel[i])), clock('since', i => S.begin[i]), span('for', i => S.length[i], { show: i => dur(S.length[i]) + (S.open[i] ? ', not ended' : '') })],
      about: { process: [i => S.process[i]], channel: [i => S.channel[i]], reason: [i => S.reason[i]] }, chips: [['never ended', i => S.open[i] === 1]], none: 'Every process was traced: nothing had to be known from /proc.',
    },
  };
}
/* For how long a lane waited, by reason, in ns. */
function sums(lane) {
  const made = REASONS.map(() => 0), { begin, end, row } = laneWaits[lane];
  for (let k = 0; k < row.length; k++) made[W.reason[row[k]]] += end[k] - begin[k];
  return made;
}
