"""IPC2xx: data is at risk, in what buffered streams and decoders do with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from ipctrace.tracer.schema import Trace

from ..events import NEVER, NONE, Events, Flags, Ints, by_number, different, groups, number, pick, rows_of, whole
from ..findings import Check, Context, finding, ids
from ..naming import plural, sentence, signal_name
from ..results import Finding
from ..run import Run
from ..signals import Signal

STREAM_CALLS = ("accept", "take", "flush")


def reentrant_io(context: Context) -> Iterator[Finding]:
    """IPC212: a signal's handler used the very stream that the call which it interrupted was using."""
    run, events = context.run, context.run.events
    inner = np.flatnonzero((events.parent != NONE) & (events.stream != NONE) & events.is_kind(*STREAM_CALLS))
    handler = events.enclosing("signal", inner)
    inner, handler = inner[handler != NONE], handler[handler != NONE]
    outer = _interrupted(context, inner, handler)
    inner, outer, handler = inner[outer != NONE], outer[outer != NONE], handler[outer != NONE]
    # A signal strikes inside a C call only where that waits in a system call; anywhere else it comes after it
    within = events.is_kind("read", "write")[events.parent[handler]]
    refused = events.error[inner] != NONE
    kept = within | refused
    inner, outer, handler, refused = inner[kept], outer[kept], handler[kept], refused[kept]
    for stream in np.unique(events.stream[inner]).tolist():
        own = events.stream[inner] == stream
        chosen = np.flatnonzero(own & refused) if (own & refused).any() else np.flatnonzero(own)
        use, used = int(inner[chosen[0]]), int(outer[chosen[0]])
        number_ = int(events.size[handler[chosen[0]]])
        effect = (
            "which raised RuntimeError (reentrant call)"
            if refused[chosen[0]]
            else "which raises RuntimeError (reentrant call) where its buffer is locked at that moment"
        )
        yield finding(
            "IPC212",
            f"The handler of {signal_name(number_)} used {run.stream_name(stream)}{run.at_event(use)} in the middle "
            f"of the {events.op(used)}{run.at_event(used)} of the same stream, {effect}.",
            f"Use os.write in the handler{run.at_event(use)}, or only set a flag there and print after the call.",
            severity="error" if refused[chosen[0]] else "warning",
            threads=ids(int(events.thread[use])),
            channels=ids(number(events.channel[use])),
            sites=ids(run.site_of(use), run.site_of(used)),
            events=ids(use, used),
        )


def _interrupted(context: Context, inner: Ints, handler: Ints) -> Ints:
    """For each call in a handler the call on the same stream that the handler interrupted, or NONE."""
    events = context.run.events
    calls = events.is_kind(*STREAM_CALLS)
    found = np.full(len(inner), NONE)
    above = events.parent[handler]
    while len(climbing := np.flatnonzero((above != NONE) & (found == NONE))):
        here = above[climbing]
        same = calls[here] & (events.stream[here] == events.stream[inner[climbing]])
        found[climbing[same]] = here[same]
        above[climbing] = events.parent[here]
    return found


DECODING = b"UnicodeDecodeError"
MOST_READS = 1000  # how far back it is looked for what was replaced
REPLACED = "\N{REPLACEMENT CHARACTER}".encode()


def split_character(context: Context) -> Iterator[Finding]:
    """IPC215: a read of the program's own ended within a character, the next began with its rest, and it shows.

    Many programs join what they read before they decode it. So it must show: by an exception that told of it, or by
    replacement characters in what the thread wrote between that read and the next but one.
    """
    run, events = context.run, context.run.events
    signs = _signs(context)
    if not signs:
        return
    reads = events.is_kind("read") & (events.stream == NONE) & (events.result > 0) & (events.error == NONE)
    reads = np.flatnonzero(reads & np.isin(events.thread, events.thread[signs]))
    following = _following(events, reads)
    split = _split(run, reads, following)
    if not split.any():
        return
    of_thread = by_number(events.thread[reads], len(run.trace.threads))
    replaced = reads[np.isin(reads, run.payloads.containing(REPLACED))]
    for sign in signs:
        thread, begun = events.thread[sign], np.searchsorted(events.enter, events.enter[sign])
        own = of_thread(int(thread))
        own = own[: np.searchsorted(own, np.searchsorted(reads, begun))]
        raised = events.kind(sign) in ("uncaught", "decode")
        asked = own[-2:] if raised else own[-MOST_READS:]
        if events.kind(sign) == "decode":  # of this very read's bytes, not of what was joined
            asked = asked[events.result[reads[asked]] == events.size[sign]]
        asked = asked[split[asked]]
        if not len(asked) or (not raised and (replaced[events.thread[replaced] == thread] < begun).any()):
            continue
        first, second = int(reads[asked[-1]]), number(following[asked[-1]])
        tail = bytes(_open_character(run.payloads[first]))
        yield finding(
            "IPC215",
            f"The read of {plural(int(events.result[first]), 'byte')}{run.at_event(first)} by "
            f"{run.the_thread(int(events.thread[first]))} ended within a character ({tail!r}), whose rest lay still in "
            f"{run.channel_name(number(events.channel[first]))}; decoding it by itself "
            f"{'raised UnicodeDecodeError' if raised else 'put replacement characters in its place'}"
            f"{run.at_event(sign)}.",
            f"Decode with codecs.getincrementaldecoder('utf-8')() in place of one read at a time{run.at_event(sign)}, "
            f"or read{run.at_event(first)} through open(fd, encoding='utf-8').",
            threads=ids(int(events.thread[first])),
            channels=ids(number(events.channel[first])),
            sites=ids(run.site_of(first), run.site_of(sign)),
            events=ids(first, second, sign),
        )
        return


def _signs(context: Context) -> list[int]:
    """Events that show what decoding came to: exceptions first."""
    run, events = context.run, context.run.events
    told = np.flatnonzero(events.is_kind("uncaught", "decode"))
    signs = [event for event in told.tolist() if run.payloads[event].startswith(DECODING) or
             events.kind(event) == "decode"]  # fmt: skip
    if len(signs):
        return signs
    return list(events.among(run.payloads.containing(REPLACED), "accept").tolist())


def _following(events: Events, reads: Ints) -> Ints:
    """For each of these reads the one that its process made after it on the same channel, or NONE."""
    later = np.flatnonzero(events.is_kind("read") & (events.result > 0))
    each = np.append(later, reads)
    processes = int(events.process.max(initial=0)) + 1
    _, group = np.unique(events.channel[each] * processes + events.process[each], return_inverse=True)
    span = int(events.enter.max(initial=0)) + 2
    order = np.lexsort((later, group[: len(later)]))
    line = group[: len(later)][order] * span + events.enter[later[order]]
    own = group[len(later) :]
    place = np.searchsorted(line, own * span + np.minimum(events.exit[reads], span - 1))
    found = pick(np.append(later[order], NONE), place)
    same = pick(np.append(group[order], NONE), place) == own
    following: Ints = np.where(same, found, NONE)
    return following


def _split(run: Run, reads: Ints, following: Ints) -> Flags:
    """Which reads ended within a character, as far as their bytes were kept; the next one must have the rest."""
    whole = run.payloads.sizes(reads) == run.events.result[reads]
    begins = np.zeros(len(reads), dtype=bool)  # the next one, with the rest of a character
    known = np.flatnonzero(following != NONE)
    known = known[run.payloads.sizes(following[known]) > 0]
    lead = run.payloads.bytes_at(following[known], 0)
    begins[known] = (lead >= 0x80) & (lead < 0xC0)
    # of a read whose end wasn't kept, the next one's begin tells
    found: Flags = begins | (whole & (following == NONE))
    ends = np.flatnonzero(found & whole)
    found[ends] = [bool(_open_character(run.payloads[read])) for read in reads[ends].tolist()]
    return found


def _open_character(data: bytes) -> bytes:
    """The bytes of a character of UTF-8 that isn't complete at the end of `data` (RFC 3629)."""
    for length in range(1, min(4, len(data) + 1)):
        lead = data[-length]
        if lead >= 0xC0:
            wanted = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return data[-length:] if length < wanted else b""
        if lead < 0x80:
            return b""
    return b""


def shutdown_lock(context: Context) -> Iterator[Finding]:
    """IPC216: an interpreter that gave up at its end, as another thread sat in a call of a stream that it must lock."""
    run, events = context.run, context.run.events
    aborted = run.trace.processes.loc[run.trace.processes["status"] == -Signal.SIGABRT, "process"]
    within = np.flatnonzero((events.exit == NEVER) & events.is_kind(*STREAM_CALLS) & (events.stream != NONE))
    for process in aborted.tolist():
        main = run.main_threads.get(process)
        own = events.process == process
        ending = np.flatnonzero(own & events.is_op("threading.shutdown") & (events.thread == main))
        sits = within[(events.process[within] == process) & (events.thread[within] != main)]
        asked = (own & events.is_kind("exit")).any()
        if not len(ending) or not len(sits) or asked:
            continue
        call = int(sits[0])
        thread, stream = int(events.thread[call]), run.stream_name(int(events.stream[call]))
        yield finding(
            "IPC216",
            f"{sentence(run.the_process(process))} was aborted at its end: its thread "
            f"{run.trace.threads['name'].iloc[thread]} was in {events.op(call)}{run.at_event(call)} and held the lock "
            f"of {stream}, which the interpreter needs to close it.",
            f"Read the descriptor{run.at_event(call)} (os.read) in place of the stream, or end the thread and join it "
            "before the program ends.",
            severity="error",
            threads=ids(thread, main),
            channels=ids(number(events.channel[call])),
            sites=ids(run.site_of(call)),
            events=ids(call, int(ending[-1])),
        )


def over_read(context: Context) -> Iterator[Finding]:
    """IPC217: bytes that a process took ahead into a stream's buffer and never used, where its child reads on."""
    run, events = context.run, context.run.events
    readers = run.trace.streams[(run.trace.streams["mode"] != "w") & (run.trace.streams["buffer_size"] > 0)]
    reads = np.flatnonzero(events.is_kind("read") & (events.stream != NONE) & (events.result > 0))
    ahead = reads[np.isin(events.stream[reads], readers["stream"])]
    forks = np.flatnonzero(events.is_kind("fork") & (events.result > 0))
    ahead = ahead[np.isin(events.process[ahead], events.process[forks])]
    table = pd.DataFrame({"event": ahead, "stream": events.stream[ahead], "process": events.process[ahead]})
    used = np.flatnonzero(events.stream != NONE)
    of_stream = by_number(events.stream[used], len(run.trace.streams))
    child_of, going_on = _children(run.trace), _going_on(run)
    for (stream, process), rows in groups(table, ["stream", "process"]):
        readers_on = going_on.get((number(run.leads_to.get(stream)), process), set())
        own = forks[events.process[forks] == process] if readers_on else forks[:0]
        own = own[events.enter[own] > events.enter[rows["event"].iloc[0]]]
        for fork in own.tolist():
            child = child_of.get((process, int(events.result[fork])))
            if child in readers_on and (left := _read_ahead(run, int(stream), used[of_stream(int(stream))], fork)) > 0:
                yield _ahead(context, int(stream), fork, left, child)
                break


def _read_ahead(run: Run, stream: int, own: Ints, fork: int) -> int:
    """Bytes in a stream's read buffer at a fork that the program never took, neither before nor after; 0 if unsure.

    `own` are the stream's events, in order.
    """
    events = run.events
    raw = events.among(own, "read")
    raw = raw[(events.result[raw] > 0) & (events.exit[raw] <= events.enter[fork])]
    takes = events.among(own, "take")
    takes = takes[events.result[takes] > 0]
    if len(raw) and (events.enter[takes] > events.exit[fork]).any():
        return 0
    taken = int(events.result[takes].sum())
    if run.trace.streams["layer"].iloc[stream] == "text" and not all(run.payloads[int(read)].isascii() for read in raw):
        taken *= 4  # what it took is counted in characters, of at most so many bytes
    return int(events.result[raw].sum()) - taken


def _children(trace: Trace) -> dict[tuple[int | None, int], int]:
    """Parent and pid → the process; of several with one pid the last."""
    return {(number(row.parent), row.pid): row.process for row in rows_of(trace.processes)}


def _going_on(run: Run) -> dict[tuple[int | None, int | None], set[int]]:
    """Channel and parent → its children that read the channel to its end; untraced ones that were seen reading it."""
    events, parent = run.events, whole(run.trace.processes["parent"])
    reads = np.flatnonzero(events.is_kind("read") & (events.channel != NONE))
    reads = reads[(events.result[reads] <= 0) & (events.exit[reads] != NEVER)]
    pairs = set(different(events.channel[reads], events.process[reads]))
    samples = run.trace.samples[run.trace.samples["syscall"] == "read"]
    seen = set(different(*(whole(samples[name]) for name in ("process", "fd"))))
    spans = run.spans[run.spans["process"].isin(run.unseen)]
    ends = zip(*(spans[name].tolist() for name in ("channel", "process", "fd")), strict=True)
    pairs |= {(channel, process) for channel, process, fd in ends if (process, fd) in seen}
    found: dict[tuple[int | None, int | None], set[int]] = {}
    for channel, process in pairs:
        found.setdefault((channel, number(parent[process])), set()).add(process)
    return found


def _ahead(context: Context, stream: int, fork: int, left: int, child: int) -> Finding:
    run, events = context.run, context.run.events
    raw = np.flatnonzero((events.stream == stream) & events.is_kind("read") & (events.exit <= events.enter[fork]))
    read, process = int(raw[-1]), int(events.process[fork])
    name = run.stream_name(stream)
    return finding(
        "IPC217",
        f"{plural(left, 'byte')} that {run.the_process(child)} was to read lie in {name}, whose buffer took them"
        f"{run.at_event(read)}, before {run.the_process(child)} was started{run.at_event(fork)}: nobody has used them.",
        f"Read what {run.the_process(process)} needs without a buffer (os.read, or open with buffering=0)"
        f"{run.at_event(read)}, or hand the rest to {run.the_process(child)}.",
        severity="error",
        threads=ids(int(events.thread[read]), run.main_threads.get(child)),
        channels=ids(number(events.channel[read])),
        sites=ids(run.site_of(read), run.site_of(fork)),
        events=ids(read, fork),
    )


CHECKS: tuple[Check, ...] = (reentrant_io, split_character, shutdown_lock, over_read)
