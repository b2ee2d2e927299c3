"""The table of remedies: which findings each fits, what it proposes, and what it changes.

A remedy proposes changes, one at a time; whether one cures the program is never said here: `ipctrace fix` runs the
program with it. Where a change is one of the source, what runs is what the diff makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import ends, locks, pipes, streams, workers
from .hang import Change, Hang
from .outcome import Fixes, Outcome, Status

Proposals = Callable[[Hang], Iterator[Change]]


@dataclass(frozen=True, slots=True)
class Remedy:
    """A kind of change: `name` for tables, `rules` that it fits, `propose`: what to try, `otherwise`: why there may be
    nothing to try for a hang of one of these rules."""

    name: str
    rules: tuple[str, ...]
    propose: Proposals
    otherwise: str


# In the order in which they are tried: what says most about the cause first, what only moves a limit last.
REMEDIES: tuple[Remedy, ...] = (
    Remedy("flush", ("IPC101",), streams.flush, "the write stands in no source of the program's"),
    Remedy("line buffering", ("IPC101",), streams.line_buffering, "it is no standard stream: see open mode"),
    Remedy("-u", ("IPC101",), streams.unbuffered, "it reaches the standard streams only"),
    Remedy("open mode", ("IPC101",), streams.open_mode, "nothing in the source opens that stream"),
    Remedy("pseudo-terminal", ("IPC101",), streams.terminal, "it changes the buffering of the standard streams only"),
    Remedy("a switch, or stdbuf", ("IPC102",), streams.at_once, "its command line isn't in the source"),
    Remedy("no select before", ("IPC103",), streams.no_select, "the wait is no select of one end alone"),
    Remedy("read what is there", ("IPC108",), streams.read_what_is_there, "the read is no readline() or read(n)"),
    Remedy("newline", ("IPC108",), streams.newline, "the write isn't in a source file, or no line is waited for"),
    Remedy("close the end", ("IPC105", "IPC106"), ends.close_end, "nothing in the source names that end"),
    Remedy("close what carries it", ("IPC105",), ends.close_carrier, "the end wasn't sent through a socket"),
    Remedy("redirect", ("IPC105",), ends.redirect, "no shell of the program's started who holds it"),
    Remedy("shutdown", ("IPC105",), ends.shutdown, "it is no socket"),
    Remedy("close_fds", ("IPC105", "IPC106", "IPC124"), ends.close_fds, "nobody was told to inherit it"),
    Remedy("communicate", ("IPC104", "IPC105", "IPC109"), pipes.communicate, "the wait is no Popen's wait() or read()"),
    Remedy("drain in a thread", ("IPC104",), pipes.drain_in_thread, "the source names no stream over the full channel"),
    Remedy("receive first", ("IPC104",), pipes.receive_first, "no receive follows the send"),
    Remedy("drain, then join", ("IPC110",), pipes.drain_then_join, "no get follows the join"),
    Remedy("order of opening", ("IPC117",), pipes.open_order, "no open follows the one that waits"),
    Remedy("lock order", ("IPC111",), locks.lock_order, "the locks are taken in different functions"),
    Remedy("RLock", ("IPC112",), locks.reentrant, "it isn't made as a Lock in the source"),
    Remedy("wait without the lock", ("IPC113",), locks.release_first, "the wait isn't what a `with` block begins with"),
    Remedy("made anew in the child", ("IPC115", "IPC116"), workers.anew, "what made it isn't in the source"),
    Remedy("await", ("IPC120",), workers.await_it, "the wait is no result() in an async function"),
    Remedy("main guard", ("IPC118",), workers.main_guard, "no worker failed at the main module's own code"),
    Remedy("daemon thread", ("IPC109", "IPC119"), workers.daemon, "it isn't the interpreter's end that waits"),
    Remedy("start method", ("IPC115", "IPC116", "IPC118"), workers.start_method, "the source names no start method"),
    Remedy("socket pair", ("IPC101", "IPC104"), pipes.sockets, "the program doesn't make the pipe itself"),
    Remedy("larger pipe", ("IPC104",), pipes.larger_pipe, "the channel is no pipe, or not made in the source"),
    Remedy("larger pool", ("IPC121",), workers.larger_pool, "nothing in the source makes the pool"),
)  # fmt: skip

# Why a finding has no remedy that could be tried: what is to be done instead.
UNLISTED: dict[str, str] = {
    "IPC105": "the end is held where no line of the program's own source names it; the finding says by whom",
    "IPC106": "the end is held where no line of the program's own source names it; the finding says by whom",
    "IPC107": "who speaks first is a question of the protocol, and what is to be said no tool can know",
    "IPC114": "a lock whose holder was killed can't be had back; what should happen then is the program's to decide",
    "IPC118": "what is to be done once a worker has died is the program's to decide: a timeout, a retry, an error",
    "IPC119": "the notice that is waited for must be kept, or given: which fact it stands for only its author knows",
    "IPC122": "each of the ways on ends in the knot; who goes first is a question of the protocol",
    "IPC123": "a stopped process goes on when it is continued (kill -CONT), not by a change of the program",
    "IPC125": "which of the threads gives way is a question of the algorithm",
    "IPC126": "whether a signal ends the wait is for its handler to say: it has to raise, or the wait needs a limit",
}


def fitting(hang: Hang) -> list[Remedy]:
    """The remedies that fit what was found, in the order in which they are tried.

    Where nothing is listed for the finding that explains the hang, none: what ends the wait by what else is so (a pipe
    closed, of which a signal was to end the read) isn't what was meant.
    """
    cause = hang.analysis.verdict.rule or (hang.findings[0].rule if hang.findings else None)
    return [remedy for remedy in REMEDIES if hang.rules & set(remedy.rules)] if fits(cause) else []


def fits(rule: str | None) -> bool:
    """Whether there is a remedy that may cure what this rule finds."""
    return any(rule in remedy.rules for remedy in REMEDIES)


def unlisted(hang: Hang) -> str:
    """Why none fits, in words."""
    for finding in hang.findings:
        if finding.rule in UNLISTED:
            return UNLISTED[finding.rule]
    return "nothing that was found here can be mended by a change that is listed"


__all__ = [
    "REMEDIES",
    "UNLISTED",
    "Change",
    "Fixes",
    "Hang",
    "Outcome",
    "Remedy",
    "Status",
    "fits",
    "fitting",
    "unlisted",
]
