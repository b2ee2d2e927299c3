"""What the analysis says: plain objects and data frames, made by `analyze` and drawn by `reports`.

Everything here is derived from a `Trace`; nothing here is stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
from ipctrace.tracer.schema import Trace

VerdictName = Literal["completed", "deadlock", "stalled", "crashed", "interrupted"]
Severity = Literal["error", "warning", "info"]
Role = Literal["core", "victim", "bystander"]
# proven: nothing that is left can ever go on · likely: depends on something said in `because`
# latent: did not happen in this run, would under another buffering · certain: a plain fact of the trace
Certainty = Literal["proven", "likely", "latent", "certain"]


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one source line that applies as it stands."""

    file: str
    line: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found, with its evidence.

    `message` and `remedy` are plain sentences with names, numbers and lines; `threads`, `channels`, `sites` and
    `events` are ids of the trace's tables, most important first.
    """

    rule: str
    name: str
    severity: Severity
    message: str
    remedy: str
    certainty: Certainty = "certain"
    threads: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    sites: tuple[int, ...] = ()
    events: tuple[int, ...] = ()
    edit: Edit | None = None

    @property
    def kind(self) -> tuple[str, tuple[int, ...]]:
        """What findings that are alike have in common: the rule, and the first place."""
        return self.rule, self.sites[:1]


@dataclass(frozen=True, slots=True)
class Stuck:
    """Bytes that a stream accepted and that never reached its descriptor.

    `pieces` are (site id or None, bytes) in the order written; `channel` is where they would have gone.
    """

    stream: int
    process: int
    channel: int | None
    size: int
    pieces: tuple[tuple[int | None, int], ...]
    payload: bytes  # as far as it was kept


@dataclass(frozen=True, slots=True)
class Waiter:
    """A thread (or an untraced process, `thread` None) at the cut, as a node of the wait-for graph.

    `reason` is a token of schema.REASONS, or "run"; `event` the innermost open event that it waits in, `outer` the
    outermost (the `input()` around the `read`). `since` is ns. `evidence` says in words why it can't go on
    ("only child can write pipe B; it is empty") or why it can.
    """

    thread: int | None
    process: int
    role: Role
    reason: str
    event: int | None
    outer: int | None
    channel: int | None
    site: int | None
    since: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Edge:
    """`waiter` waits for `holder` (indices into WaitGraph.waiters) to act on `channel` (None: to end)."""

    waiter: int
    holder: int
    channel: int | None
    why: str


@dataclass(frozen=True, slots=True)
class WaitGraph:
    """Who waits for whom at the cut `time` (ns). The core closed at `formed`: the latest begin of a member's wait."""

    time: int
    formed: int
    waiters: tuple[Waiter, ...]
    edges: tuple[Edge, ...]
    stuck: tuple[Stuck, ...]
    evidence: tuple[tuple[str, str], ...] = ()  # (what is so, how it is known): "why this is certain"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the run. `headline` is the first sentence of every report, at most 34 words; `because` explains
    it in two or three more sentences. Wording: plain words, roles for names, bytes exactly, no blame."""

    name: VerdictName
    certainty: Certainty
    headline: str
    because: str
    rule: str | None = None  # the finding that explains it


@dataclass(slots=True)
class Analysis:
    """Everything that was found out about one trace.

    names         thread id → role name for sentences ("parent", "child", "parent/logger"); processes likewise
    channel_names channel id → "pipe A", "terminal", "file out.txt"
    messages      a row a message, ordered by first byte accepted: message, channel, stream?, writer? (thread; empty:
                  whoever wrote it isn't traced, and `written` isn't known), reader? (thread), accepted? (ns put into
                  the writer's buffer), written? (ns it left; empty: never), read? (ns the reader had it; empty: never),
                  size, first? (offset of its first byte in the channel; empty where unknown), write_event?,
                  read_event? (first read that got bytes of it), accept_event?,
                  accept_site?, write_site?, read_site?, payload (bytes kept), reads (number of reads that got it),
                  merged (bool: a read got it together with bytes of another write), ambiguous (bool: several writers
                  and payloads don't tell whose bytes these are; an item of a queue that may be another; a datagram of
                  which another would do), op (what handed it over: print, stream.write, os.write, Connection.send,
                  multiprocessing.Queue.put, StreamWriter.write, socket.sendto, Queue.put …; empty: not traced),
                  received? (ns when the program had all of it: the call returned that handed out its last byte, be it
                  the read itself, a Connection.recv, a get, or a readline out of the reader's buffer), receive_event?
                  (that call), lost (bytes that nobody will ever get: a datagram's that was cut or overtaken). An item
                  of a queue between threads or tasks has size 0; one of a multiprocessing.Queue is accepted by its
                  put, and written by its feeder. `messages.stages` tells how long each was where
    pieces        a row a piece of a message: bytes that one write carried and one read got, by message and place in it:
                  message, begin, end (bytes [begin, end) of the message), write_event? (that carried them; empty: never
                  written, or by whom isn't traced), read_event? (that got them; empty: nobody, or it isn't traced),
                  merged (bool: that read got bytes of another write too). The pieces of a message are all of its bytes;
                  one of no bytes (an item of a queue between threads, an empty datagram) has none
    blocking      a row an interval in which a thread waited, ordered by begin: event, thread, process, begin, end (ns;
                  the cut where it never ended), open (bool: it never ended), reason, kind (what kept it waiting: late
                  sender, late flusher: the bytes lay in a buffer of the writer's; late receiver, late closer, late
                  exiter, late opener, late notifier, late signal, contention, sleep), channel?, site?, by? (thread that
                  ended it or was waited for), by_event?, owner? (thread that held the lock as the wait began); and what
                  `by` did meanwhile, in ns, empty where nobody is known: worked?, waited?, held? (held the bytes in a
                  buffer): worked + waited + held = end − begin
    channels      the trace's channels plus: name, writers, readers (role names, comma-joined), written, read (bytes),
                  left? (bytes still in it at the cut; empty where somebody untraced uses it too), messages (count)
    streams       the trace's streams plus: process_name, to (channel name now), held (bytes stuck at the cut), lost
                  (bytes stuck when its program ended), peak (bytes), flushes (count), implicit (flushes made by
                  input() or the interpreter)
    descriptors   a row an end held: process, fd, channel, access, opened (ns), closed? (ns), how (inherited, made,
                  opened, duplicated), site?, used (bool)
    lanes         thread ids in display order: talkers side by side, the knot's first
    busy          a row a thread: thread, lifetime, blocked, running (ns): blocked + running = lifetime
    races         a row a message race: two neighbours on a channel, of two threads, whose order nothing in the program
                  gives; of each channel the first hundred. kind (send, receive), channel, first, second (events: the
                  order that it was; the other could have been), first_thread, second_thread, first_site?, second_site?
                  (where the program handed over the bytes), other? (the read that got the first one's bytes, or the
                  write whose bytes the first one got), count (of its kind on its channel, in all)
    sampled       a row an interval in which a thread that isn't traced was seen to wait: process, tid, begin, end (ns),
                  open (bool), syscall, reason, fd?, channel?
    matrix        who waited for whom, sleeps left out: thread, by? (empty: nobody that is known), time (ns), count
    path          the critical path, in order of time and without gaps from 0 to the cut: thread? (empty: before
                  anything known), begin, end (ns), what (runs, or the reason of the wait that is on the path), site?
                  (of the wait, or of the call that it ran up to), event? (the wait), via? (event that handed on from
                  the one segment to the next)
    edges         what orders events of different threads (happens-before is that and each thread's own order):
                  before_event, after_event, kind (message, fork, join, lock, notice …: edges.KINDS), channel?,
                  before_end, after_end (bool: from or to the end of the event and not its begin)
    """

    trace: Trace
    verdict: Verdict
    findings: list[Finding]
    graph: WaitGraph | None
    names: dict[int, str]
    process_names: dict[int, str]
    channel_names: dict[int, str]
    messages: pd.DataFrame
    blocking: pd.DataFrame
    channels: pd.DataFrame
    streams: pd.DataFrame
    descriptors: pd.DataFrame
    busy: pd.DataFrame
    races: pd.DataFrame = field(default_factory=pd.DataFrame)
    pieces: pd.DataFrame = field(default_factory=pd.DataFrame)
    sampled: pd.DataFrame = field(default_factory=pd.DataFrame)
    matrix: pd.DataFrame = field(default_factory=pd.DataFrame)
    path: pd.DataFrame = field(default_factory=pd.DataFrame)
    edges: pd.DataFrame = field(default_factory=pd.DataFrame)
    lanes: list[int] = field(default_factory=list)
