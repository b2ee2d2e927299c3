"""A trace with everything that is derived from it, each thing once, when it is first asked for.

The functions that derive are in modules of their own and take tables; this is how they hang together.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import pandas as pd
from ipctrace.tracer.schema import Trace

from . import blocking, descriptors, edges, messages, naming, paths, races, sampling, streams
from .causality import Causality
from .events import Events, Flags, Ints, by_number, cut_of, number
from .payloads import Payloads
from .results import Stuck
from .units import Units


class Run:
    """One trace, as the rules see it. Tables have the columns that `results.Analysis` gives them, or says here."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.cut = cut_of(trace)

    @cached_property
    def events(self) -> Events:
        """The events, as arrays."""
        return Events(self.trace.events)

    @cached_property
    def of_thread(self) -> Callable[[int], Ints]:
        """What gives the events of a thread, in order."""
        return by_number(self.events.thread, len(self.trace.threads))

    @cached_property
    def lanes(self) -> Events:
        """The events, with what is written to a socket on the channel that it is read at."""
        return self.events.lanes(self.trace.channels)

    @cached_property
    def payloads(self) -> Payloads:
        """Event → bytes kept."""
        return Payloads(self.trace, len(self.events))

    @cached_property
    def unseen(self) -> set[int]:
        """Processes of which no event tells."""
        return descriptors.unseen_processes(self.trace, self.events)

    @cached_property
    def spans(self) -> pd.DataFrame:
        """Who held which end from when to when."""
        return descriptors.ends_held(self.trace, self.events, self.unseen)

    @cached_property
    def held(self) -> pd.DataFrame:
        """The ends that are held at the cut."""
        return self.spans[self.spans["closed"].isna()]

    @cached_property
    def units(self) -> Units:
        """What programs handed to streams."""
        return messages.units(self.events, self.payloads)

    @cached_property
    def mixed(self) -> set[int]:
        """Channels of which a process that isn't traced held an end."""
        untraced = self.spans[self.spans["process"].isin(self.unseen)]
        return set(untraced["channel"].tolist())

    @cached_property
    def one_sided(self) -> set[int]:
        """Channels that only one side of is traced, in a run with processes that were gone before anybody looked."""
        if not self.unseen - set(self.spans["process"].tolist()):
            return set()
        moved = self.events.result > 0
        put, taken = (self.events.channel[moved & self.events.is_kind(kind)] for kind in ("write", "read"))
        return set(put.tolist()) ^ set(taken.tolist())

    @cached_property
    def until(self) -> Ints:
        """When each stream came to its end."""
        return streams.lives(self.trace, self.events)

    @cached_property
    def leads_to(self) -> pd.Series:
        """Stream → the channel that its descriptor led to in the end."""
        found = streams.destinations(self.trace, self.spans, self.until)
        ends = self.trace.channels.loc[self.trace.channels["kind"] == "socket", ["channel", "peer"]]
        writers = self.trace.streams.set_index("stream")["mode"].reindex(found.index) != "r"
        across = found.isin(ends["channel"]) & writers
        found.loc[across] = ends.set_index("channel")["peer"].reindex(found[across]).to_numpy()
        return found

    @cached_property
    def _matched(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        return messages.match(self.trace, self.lanes, self.payloads, self.units, self.mixed, self.leads_to)

    @property
    def messages(self) -> pd.DataFrame:
        """A row a message."""
        return self._matched[0]

    @property
    def got(self) -> pd.DataFrame:
        """What each read got, piece by piece: read, message, write, size, merged."""
        return self._matched[1]

    @cached_property
    def pieces(self) -> pd.DataFrame:
        """The bytes of each message, by the writes that carried and the reads that got them."""
        return messages.pieces(*self._matched)

    @cached_property
    def blocking(self) -> pd.DataFrame:
        """A row an interval in which a thread waited."""
        return blocking.blocking(self)

    @cached_property
    def busy(self) -> pd.DataFrame:
        """How long each thread lived, waited and ran."""
        return blocking.busy(self.trace, self.blocking, self.cut)

    @cached_property
    def edges(self) -> pd.DataFrame:
        """What orders events of different threads; see edges.edges."""
        return edges.edges(self)

    @cached_property
    def first_events(self) -> Ints:
        """Thread → its first event; NONE: it has none."""
        return edges.first_events(self.events, len(self.trace.threads))

    @cached_property
    def last_nodes(self) -> tuple[Ints, Flags]:
        """Thread → the last that is known of it; see edges.last_nodes."""
        return edges.last_nodes(self.events, len(self.trace.threads))

    @cached_property
    def contested(self) -> races.Pairs:
        """Neighbours on a channel that may have raced."""
        return races.contested(self)

    @cached_property
    def causality(self) -> Causality:
        """What happened before what."""
        return Causality(self, races.marks(self.contested))

    @cached_property
    def races(self) -> pd.DataFrame:
        """A row a race of two sends, or two receives, on one channel."""
        return races.races(self)

    @cached_property
    def sampled(self) -> pd.DataFrame:
        """When threads that aren't traced waited; see sampling.waits."""
        return sampling.waits(self)

    @cached_property
    def matrix(self) -> pd.DataFrame:
        """For how long who waited for whom."""
        return blocking.matrix(self.blocking)

    @cached_property
    def path(self) -> pd.DataFrame:
        """The critical path, in order of time."""
        return paths.critical(self)

    @cached_property
    def streams(self) -> pd.DataFrame:
        """The streams with what they hold; see streams.account."""
        return streams.account(self.trace, self.events, self.units, self.until, self.leads_to)

    @cached_property
    def stuck(self) -> tuple[Stuck, ...]:
        """What streams hold, or held when their program ended."""
        return streams.stuck_bytes(self.events, self.units, self.payloads, self.streams)

    @cached_property
    def process_names(self) -> dict[int, str]:
        """Process → name."""
        return naming.process_names(self.trace)

    @cached_property
    def names(self) -> dict[int, str]:
        """Thread → name."""
        return naming.thread_names(self.trace, self.process_names)

    @cached_property
    def channel_names(self) -> dict[int, str]:
        """Channel → name."""
        return naming.channel_names(self.trace, self.events, self.messages)

    @cached_property
    def main_threads(self) -> dict[int, int]:
        """Process → its main thread."""
        return blocking.main_threads(self.trace)

    def channel_name(self, channel: int | None) -> str:
        """A channel's name in a sentence: pipe A, the terminal; something unknown is that."""
        name = "something unknown" if channel is None else self.channel_names[channel]
        return "the terminal" if name == "terminal" else name

    def stream_name(self, stream: int) -> str:
        """The parent's sys.stdout."""
        row = self.trace.streams.iloc[stream]
        return f"{self.possessive(int(row['process']))} {row['name']}"

    def the_process(self, process: int) -> str:
        """A process's name within a sentence."""
        return naming.the(self.process_names[int(process)])

    def the_thread(self, thread: int) -> str:
        """A thread's name within a sentence."""
        return naming.the(self.names[int(thread)])

    def possessive(self, process: int) -> str:
        """The parent's."""
        return f"{naming.the(self.process_names[process])}'s"

    def place(self, site: int | None) -> str:
        """deadlock.py:41; "" where it isn't known."""
        if site is None:
            return ""
        row = self.trace.sites.iloc[site]
        return f"{str(row['file']).rsplit('/', 1)[-1]}:{row['line']}"

    def source_line(self, site: int | None) -> str:
        """The line of source at a site, without indentation; "" where it isn't known."""
        if site is None:
            return ""
        row = self.trace.sites.iloc[site]
        lines = self.trace.sources
        found = lines[(lines["file"] == row["file"]) & (lines["line"] == row["line"])]["text"]
        return str(found.iloc[0]).strip() if len(found) else ""

    def at(self, site: int | None) -> str:
        """ " at deadlock.py:41", or nothing."""
        return f" at {self.place(site)}" if site is not None else ""

    def at_event(self, event: int | None) -> str:
        """ " at deadlock.py:41" for an event, or nothing."""
        return self.at(self.site_of(event))

    def waited_for(self, reason: str, channel: int | None) -> str:
        """waited for data on pipe A; slept."""
        return "slept" if reason == "sleep" else self.waits_for(reason, channel).replace("waits", "waited", 1)

    def site_of(self, event: int | None) -> int | None:
        """The site of an event, if both are known."""
        return None if event is None else number(self.events.site[event])

    def waits_for(self, reason: str, channel: int | None) -> str:
        """waits for data on pipe A."""
        return naming.waits_on(reason, None if channel is None else self.channel_name(channel))
