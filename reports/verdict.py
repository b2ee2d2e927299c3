"""The page's first screen as plain HTML: verdict, knot, remedy, stacks, and why this is certain. It needs no script."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from pathlib import PurePath

from ipctrace.analysis.results import Analysis, Edit, Finding, Stuck, Waiter

from .knot import Knot
from .knot_picture import figure
from .markup import capital, count, escape, moment, payload_text, sentences, shorten, source
from .model.texts import buffering
from .run import Run, members, rows

# verdict → the pill's class (filled: proven or over; outlined: not) and its word
PILLS = {
    "deadlock": ("danger filled", "Deadlock"),
    "stalled": ("amber", "Stalled"),
    "crashed": ("danger", "Crashed"),
    "interrupted": ("plain", "Interrupted"),
    "completed": ("ok filled", "Completed"),
}
HEALTHY = ("completed", "interrupted")  # nothing to take apart: the heading is a line, the timeline comes soon
CERTAINTY = {"proven": "proven", "likely": "likely", "latent": "latent", "certain": ""}
ONWARD = "  \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}  "  # from a frame to the one that it called
STACKS = 4  # members whose source is shown open; the others' is folded away
FINDINGS, STREAMS = 6, 16  # rows of these tables shown open; the rest is folded away
KINDS = 12  # of findings (rule and place) that are shown open, where many are alike
LISTED = 200  # rows of a table that needs no script; past them it names the table that has all
AROUND = (2, 1)  # lines of source shown before and after what is marked


def section(run: Run) -> str:
    """The whole section, for every verdict."""
    analysis, verdict = run.analysis, run.analysis.verdict
    style, word = PILLS[verdict.name]
    certainty = CERTAINTY[verdict.certainty]
    said = f'<span class="certainty">{escape(certainty)}</span>' if certainty else ""
    size = " class=line" if verdict.name in HEALTHY else ""
    explained = explaining(analysis)
    picture = figure(run)
    beside = (
        remedy(run, explained)
        if explained and (explained.remedy or explained.edit) and verdict.name not in HEALTHY
        else ""
    )
    duo = f'<div class="duo">{picture}{beside}</div>' if picture and beside else picture or beside
    return (
        f'<section id="verdict" aria-labelledby="v" class="is-{verdict.name}"><p class="kicker">'
        f'<span class="pill {style}">{word}</span>{said}<span class="dim">{escape(aside(run))}</span></p>'
        f"<h1 id=v{size}>{headline(run)}</h1>{lead(run)}{duo}{stacks(run)}{evidence(run)}"
        f"{findings(run, explained if beside else None)}</section>"
    )


def explaining(analysis: Analysis) -> Finding | None:
    """The finding that the verdict rests on."""
    return next((one for one in analysis.findings if one.rule == analysis.verdict.rule), None)


def aside(run: Run) -> str:
    """The few words beside the verdict's name."""
    facts, name = run.facts, run.analysis.verdict.name
    if name == "deadlock" and run.graph:
        return f"nothing has moved since {moment(run.graph.formed, 3)}, and nothing can"
    if name == "stalled" and run.graph:
        return f"nothing has moved since {moment(run.graph.formed, 3)}, but it may yet"
    status = facts.get("status")
    return "" if status is None else f"exit {status}" if status >= 0 else f"ended by signal {-status}"


def headline(run: Run) -> str:
    """The heading, with the stuck bytes marked where it names them."""
    text = sentences(run.analysis.verdict.headline)
    for stuck in run.graph.stuck if run.graph else ():
        amount = count(stuck.size, "byte")
        text = text.replace(amount, f'<span class="wet">{amount}</span>', 1)
    return text


def lead(run: Run) -> str:
    """Why, with each place linked to the stack that shows it."""
    if not run.analysis.verdict.because:
        return ""
    text = sentences(run.analysis.verdict.because)
    anchors: dict[str, list[str]] = {}  # of several members at one place the first is meant first
    for waiter in members(run, "core"):
        for place in {run.place(waiter.site), *(run.place(site) for site in held_sites(run, waiter.process))} - {""}:
            anchors.setdefault(escape(place), []).append(anchor(waiter))

    def linked(found: re.Match[str]) -> str:
        left = anchors[found[0]]
        return f'<a class="site" href="#{left.pop(0)}">{found[0]}</a>' if left else found[0]

    places = "|".join(sorted(map(re.escape, anchors), key=len, reverse=True))
    text = re.sub(rf"(?<![\w./&;#-])(?:{places})(?!\d)", linked, text) if places else text
    return f'<p class="lead">{text}</p>'


def held_sites(run: Run, process: int) -> list[int]:
    """The sites that wrote what is stuck in a process."""
    return [site for one in in_process(run, process) for site, _ in one.pieces if site is not None]


def in_process(run: Run, process: int) -> list[Stuck]:
    return [one for one in (run.graph.stuck if run.graph else ()) if one.process == process]


def anchor(waiter: Waiter) -> str:
    return f"stack-{waiter.process}-{'process' if waiter.thread is None else waiter.thread}"


# ---- remedy ------------------------------------------------------------------------------------------------


def remedy(run: Run, finding: Finding) -> str:
    """What to change: the sentence, and the change as a diff that applies."""
    change = diff(run, finding.edit) if finding.edit else ""
    return (
        '<aside class="fix" aria-labelledby="fix-h"><h2 id="fix-h">Remedy</h2>'
        f'<p>{sentences(capital(finding.remedy))}</p>{change}<p class="dim rule">'
        f'<a href="#{finding.rule}">{finding.rule} {escape(finding.name)}</a> explained</p></aside>'
    )


def diff(run: Run, edit: Edit) -> str:
    """The line before and after, what is new in it marked, and the line that follows."""
    following = run.lines.get((edit.file, edit.line + 1))
    shown = [edit.before.rstrip(), edit.after.rstrip(), *([] if following is None else [following.rstrip()])]
    before, after, *context = textwrap.dedent("\n".join(shown)).split("\n")  # there is little room: no common indent
    same = alike(before, after)
    tail = alike(before[same:][::-1], after[same:][::-1])
    end = len(after) - tail
    # a mark that begins behind a comma and a space is easier to read than one that holds them
    start = same + len(after[same:end]) - len(after[same:end].lstrip(" ,"))
    name = PurePath(edit.file).name
    label = f"{name} line {edit.line}: {after.strip()} in place of {before.strip()}"
    head, rest = (source(part) if part else "" for part in (after[:start], after[end:]))
    new = f"{head}<mark>{source(after[start:end])}</mark>{rest}"
    follows = "".join(f"<div><i>{edit.line + 1}</i>{source(line)}</div>" for line in context)
    return (
        f'<div class="diff" role="img" aria-label="{escape(label)}"><div class="f">{escape(name)}</div>'
        f'<div class="del"><i>{edit.line}</i>{source(before)}</div>'
        f'<div class="add"><i>{edit.line}</i>{new if start < end else source(after)}</div>{follows}</div>'
    )


def alike(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


# ---- stacks ------------------------------------------------------------------------------------------------


def stacks(run: Run) -> str:
    """Where each member of the knot waits, in its source; without a knot, where whoever waited at the end did."""
    core = members(run, "core")
    if not core and run.analysis.verdict.name in ("stalled", "crashed"):
        core = [one for one in members(run, "victim") if one.site is not None]
    shown = "".join(stack(run, waiter) for waiter in core[:STACKS])
    rest = "".join(stack(run, waiter) for waiter in core[STACKS:])
    folded = f"<details><summary>{count(len(core) - STACKS, 'more stack')}</summary>{rest}</details>" if rest else ""
    return f'<div class="duo even" id="stacks">{shown}</div>{folded}' if shown else ""


def stack(run: Run, waiter: Waiter) -> str:
    """One member: what it waits for, the lines around, marked, and its frames."""
    process = run.processes[waiter.process]
    site = None if waiter.site is None else run.sites[waiter.site]
    thread = "" if waiter.thread is None else run.threads[waiter.thread]["name"]
    title = " · ".join(escape(part) for part in (thread, PurePath(site["file"]).name if site else "") if part)
    line = Knot(run).line(waiter).what
    body = listing(run, waiter) if site else ""
    if not process["traced"]:
        body = (
            f'<p class="dim">{escape(process["program"])} is not a traced Python program: its waits are known from '
            "/proc, to about 10 ms, its source is not.</p>"
        )
    return (
        f'<div class="stack" id="{anchor(waiter)}"><h3>{escape(run.process_name(waiter.process))} {process["pid"]}'
        f"<span>{' · ' if title else ''}{title}</span></h3>"
        f"<p>{escape(capital(line.replace(' ', f' since {moment(waiter.since)} ', 1)))}.</p>"
        f"{body}{frames(run, waiter)}</div>"
    )


def listing(run: Run, waiter: Waiter) -> str:
    """The source around the wait, and around the writes whose bytes are stuck in the same process, with notes."""
    assert waiter.site is not None
    here = run.sites[waiter.site]
    notes: dict[tuple[str, int], tuple[str, str]] = {}
    for one in in_process(run, waiter.process):
        for site, size in merged(one):
            row = run.sites[site]
            held = f"↑ {count(size, 'byte')} written here; still in this process’s buffer"
            notes[row["file"], row["line"]] = ("guilty", held)
    notes[here["file"], here["line"]] = ("here", waiting_note(run, waiter))
    parts = []
    for file in sorted({file for file, _ in notes}, key=lambda name: name != here["file"]):
        if file != here["file"]:
            parts.append(f'<div class="l f"><i></i>{escape(PurePath(file).name)}</div>')
        parts.append(numbered(run, file, {line: note for (of, line), note in notes.items() if of == file}))
    return f"<pre>{''.join(parts)}</pre>"


def merged(stuck: Stuck) -> list[tuple[int, int]]:
    """Bytes by the site that wrote them, the last few sites."""
    sizes: dict[int, int] = {}
    for site, size in stuck.pieces:
        if site is not None:
            sizes[site] = sizes.pop(site, 0) + size
    return list(sizes.items())[-4:]


def numbered(run: Run, file: str, notes: dict[int, tuple[str, str]]) -> str:
    """Lines of one file around the marked ones; a gap is shown as one."""
    wanted = sorted({line + step for line in notes for step in range(-AROUND[0], AROUND[1] + 1)})
    known = [line for line in wanted if line in notes or (file, line) in run.lines]
    while known and known[0] not in notes and not run.lines[file, known[0]].strip():
        known.pop(0)
    parts, previous = [], None
    for line in known:
        if previous is not None and line != previous + 1:
            parts.append('<div class="l gap"><i>⋮</i></div>')
        style, note = notes.get(line, ("", ""))
        text = (
            source(run.lines[file, line]) if (file, line) in run.lines else '<span class="dim">source not kept</span>'
        )
        parts.append(f'<div class="l {style}"><i>{line}</i>{text}</div>')
        if note:
            parts.append(f'<span class="say">{escape(note)}</span>')
        previous = line
    return "".join(parts)


def waiting_note(run: Run, waiter: Waiter) -> str:
    """What is said under the line that waits: whether this process still holds bytes back."""
    own = [
        row
        for row in run.streams
        if row["process"] == waiter.process and "w" in row["mode"] and row["name"] != "sys.stderr"
    ]
    if waiter.reason == "noroom":
        return "↑ waits here, in the middle of its write"
    if in_process(run, waiter.process):
        return "↑ waits here; flushes nothing before it waits"
    if own and waiter.reason == "nodata":
        return "↑ waits here; its own output buffer is empty (0 bytes held)"
    return "↑ waits here"


def frames(run: Run, waiter: Waiter) -> str:
    """The Python stack, outermost first, and the calls that were open in it."""
    table = run.trace.stacks
    tid = None if waiter.thread is None else run.threads[waiter.thread]["tid"]
    mine = table[(table["process"] == waiter.process) & (table["tid"] == tid)].sort_values("depth", ascending=False)
    said = [f"{function} :{line}" for function, line in zip(mine["function"], mine["line"], strict=True)]
    calls: list[str] = []
    event: int | None = waiter.event
    parents = run.trace.events["parent"].to_numpy(dtype="int64", na_value=-1)
    while event is not None:
        calls.append(run.call(event))
        event = int(parents[event]) if parents[event] >= 0 else None
    said += list(dict.fromkeys(reversed(calls)))
    return f'<div class="frames">{escape(ONWARD.join(said))}</div>' if said else ""


# ---- evidence, findings, streams ---------------------------------------------------------------------------


def evidence(run: Run) -> str:
    """Why this is certain, a fact and how it is known each."""
    known = run.graph.evidence if run.graph else ()
    if not known:
        return ""
    heading = "Why this is certain" if run.analysis.verdict.certainty == "proven" else "What this rests on"
    items = "".join(f"<li><b>{escape(capital(what))}</b><span>{escape(how)}</span></li>" for what, how in known)
    columns = next((number for number in (5, 4, 3) if len(known) % number == 0), 4 if len(known) > 6 else 3)
    return f'<div class="why" style="--columns:{min(columns, len(known))}"><h2>{heading}</h2><ul>{items}</ul></div>'


def findings(run: Run, told: Finding | None = None) -> str:
    """The findings as a table, but the one that was told already; where there are none, that is said."""
    shown = [one for one in run.analysis.findings if one is not told]
    if told and not shown:
        return ""
    if not shown:
        return '<p class="none">Nothing found: no rule that ipctrace knows applies to this run.</p>'
    alike = Counter(one.kind for one in shown)
    many = len(shown) > FINDINGS + 2
    if many:  # one of each kind, then the rest: nobody reads ninety that are alike
        first = {one.kind: one for one in reversed(shown)}
        shown.sort(key=lambda one: one is not first[one.kind])
    most = min(len(alike), KINDS) if many else FINDINGS
    body = [finding_row(run, one, alike[one.kind] if many and place < len(alike) else 1)
            for place, one in enumerate(shown)]  # fmt: skip
    heading = "Also found" if told else "Findings"
    head = "<th>code<th>severity<th>what is so, and what to do<th>site"
    return f'<div class="findings"><h2>{heading}</h2>{folded(head, body, most, "finding")}</div>'


def finding_row(run: Run, one: Finding, alike: int) -> str:
    """A finding; where it stands for several that are alike, that is said."""
    more = f' <span class="dim">So {alike:,} times at this place.</span>' if alike > 1 else ""
    return (
        f'<tr class="is-{one.severity}"><td><a href="#{one.rule}"><b>{one.rule}</b></a> {escape(one.name)}'
        f"<td>{one.severity}"
        f'<td class="wrap">{sentences(opening(run, one.message))}{more}'
        f'<div class="dim">{sentences(opening(run, one.remedy))}</div>'
        + (f'<td class="c">{escape(run.place(one.sites[0]))}' if one.sites else '<td class="unplaced">·')
    )


def opening(run: Run, text: str) -> str:
    """The text as the beginning of a sentence: with a capital, but where it begins with the name of a program."""
    first = re.split(r"[\s/]", text, maxsplit=1)[0]
    programs = {name.partition(" ")[0] for name in run.analysis.process_names.values()} - {"parent", "child"}
    return text if first in programs else capital(text)


def folded(head: str, body: list[str], most: int, what: str) -> str:
    """A table, of which more than `most` rows are folded away; two more would fill as many lines as the fold."""

    def table(rows: list[str]) -> str:
        return (
            f'<div class="scroll"><table class="data"><thead><tr>{head}</thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )

    if len(body) <= most + 2:
        return table(body)
    listed = body[most : most + LISTED]
    cut = len(body) - most - len(listed)
    note = f'<p class="dim">{cut:,} more are in the table of {what}s.</p>' if cut else ""
    rest = f"<details><summary>{count(len(body) - most, f'more {what}')}</summary>{table(listed)}{note}</details>"
    return table(body[:most]) + rest


def streams(run: Run) -> str:
    """Every stream: how it is buffered, why, and what it holds."""
    if not run.streams:
        return '<p class="dim">No stream of a traced program led to a pipe, a file or a terminal.</p>'
    last = {(row["process"], row["name"]): row["stream"] for row in run.streams}
    shown = [
        row for row in run.streams
        if row["peak"] or row["held"] or last[row["process"], row["name"]] == row["stream"]
    ]  # fmt: skip
    shown.sort(key=lambda row: not row["held"])
    body = [
        f'<tr class="{"bad" if row["held"] else ""}"><td>{escape(row["process_name"])}'
        f'<td class="c">{escape(row["name"])}'
        f'<td class="wrap">{escape(row["to"])}<td class="wrap">{escape(buffering(row))}'
        f'<div class="dim">{escape(row["why"])}</div>'
        f'<td class="num">{row["held"] or 0:,} B<td class="num">{row["peak"] or 0:,} B'
        for row in shown  # an exec makes new streams: of the old ones, only those that ever held bytes
    ]
    head = '<th>process<th>stream<th>leads to<th>buffering<th class="num">held<th class="num">peak'
    return folded(head, body, STREAMS, "stream")


def plain_messages(run: Run, most: int = 100) -> str:
    """The messages for a reader without script."""
    names = run.analysis.names
    body = "".join(
        f'<tr><td class="num">{row["message"] + 1}<td>{escape(names.get(row["writer"], "not traced"))}'
        f"<td>{escape(names.get(row['reader'], 'nobody'))}<td>{escape(run.channel_name(row['channel']))}"
        f'<td class="num">{row["size"]:,}<td class="c">{escape(shorten(payload_text(row["payload"] or b""), 80))}'
        for row in rows(run.analysis.messages.head(most))
    )
    head = '<th class="num">#<th>from<th>to<th>channel<th class="num">bytes<th>payload'
    return f'<div class="scroll"><table class="data"><thead><tr>{head}</thead><tbody>{body}</tbody></table></div>'
