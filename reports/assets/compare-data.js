/* The runs in memory: of each setting its lanes' waits, in order, and its messages; and which settings are chosen. */
const SETTINGS = MODEL.settings;
const runs = []; // setting → { lanes: [{ begin, end, reason }], messages }
let chosen = MODEL.start, everything = false, aligned = 'begin';

async function openRuns() {
  await Promise.all(SETTINGS.map(async (setting, k) => {
    const [waits, messages] = await Promise.all([load(`s${k}waits`), load(`s${k}messages`)]);
    const lanes = setting.lanes.map(() => ({ begin: [], end: [], reason: [], open: [] }));
    for (let i = 0; i < (waits.begin?.length ?? 0); i++) {
      const lane = lanes[waits.lane[i]];
      lane.begin.push(waits.begin[i]); lane.end.push(waits.begin[i] + waits.length[i]);
      lane.reason.push(MODEL.tokens[waits.reason[i]]); lane.open.push(waits.open[i]);
    }
    runs[k] = { lanes, messages };
  }));
}

const pairOf = ([a, b]) => MODEL.pairs.find(pair => pair.first === a && pair.second === b);
const shown = () => everything ? SETTINGS.map((_, k) => k) : [...new Set(chosen)];
/* Where a setting's run lies on the common axis: its own time plus this. */
function shift(setting) {
  const mark = aligned === 'parting' && pairOf(chosen)?.marks.find(one => one.first);
  if (!mark || !chosen.includes(setting)) return 0;
  const times = [mark.a.time, mark.b.time];
  return times.every(has) ? Math.max(...times) - times[chosen.indexOf(setting)] : 0;
}
const endOfAll = () => Math.max(1, ...shown().map(k => SETTINGS[k].end + shift(k)));
/* When a lane's thread was there. */
const born = (k, lane) => SETTINGS[k].lanes[lane].started ?? 0;
const gone = (k, lane) => SETTINGS[k].lanes[lane].ended ?? SETTINGS[k].end;
