"""The chapter's programs about sockets, recorded by the command line: waits, bytes, ends, peers and lines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pandas as pd
import pytest

import ipctrace
from ipctrace import chapter
from tests.interpreters import EACH
from tests.recorded import record
from tests.target import clean_environment

PROGRAMS = ("sockets.py", "unix_sockets.py", "datagrams.py", "selecting.py", "passed_descriptor.py")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("python", EACH)
def test_each_program_ends_by_itself(python: str, program: str) -> None:
    done = subprocess.run(
        [python, str(chapter.FOLDER / program)], env=clean_environment(), capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


def recorded(folder: Path, program: str) -> tuple[ipctrace.Run, pd.DataFrame]:
    """A recorded program that completed, and its events with the lines of their sites."""
    done = record(folder, chapter.FOLDER / program)
    assert done.status == 0, done.errors.decode()
    run = done.run
    assert run.verdict.name == "completed"
    lines = run.trace.sites.set_index("site")["line"]
    return run, run.events.assign(line=run.events["site"].map(lines))


def line(program: str, text: str) -> int:
    """Where a program says `text`, for the first time."""
    return next(
        number for number, each in enumerate((chapter.FOLDER / program).read_text("utf-8").splitlines(), 1) if text in each
    )


def moved(events: pd.DataFrame, kind: str, process: int) -> list[int]:
    """The bytes of a process's reads or writes of sockets."""
    chosen = events["op"].str.startswith("socket.") & (events["kind"] == kind) & (events["process"] == process)
    return [int(result) for result in events[chosen]["result"]]


def test_the_echo_server_and_its_client_are_two_ends_of_one_connection(tmp_path: Path) -> None:
    run, events = recorded(tmp_path, "sockets.py")
    for kind, process in (("write", 0), ("write", 1), ("read", 1)):
        assert moved(events, kind, process) == [6, 6, 6]
    assert moved(events, "read", 0) == [6, 6, 6, 0], "the last one: the client has closed its end"
    (accept,) = events[events["op"] == "socket.accept"].itertuples()
    (connect,) = events[events["op"] == "socket.connect"].itertuples()
    assert (accept.wait, accept.line, connect.wait, connect.line) == (
        "peer", line("sockets.py", "listener.accept"), "peer", line("sockets.py", "create_connection"),
    )  # fmt: skip
    channels = run.channels.set_index("channel")
    ends = channels[channels["peer"].notna()]
    assert set(ends["form"]) == {"tcp"}
    assert list(ends["peer"]) == list(reversed(ends.index))
    assert connect.channel in ends.index
    assert accept.address == ends["local"][connect.channel]
    assert connect.address == ends["remote"][connect.channel] == channels["local"][accept.channel]


def test_a_pair_and_a_servers_connection_have_their_ends(tmp_path: Path) -> None:
    run, events = recorded(tmp_path, "unix_sockets.py")
    channels = run.channels.set_index("channel")
    assert list(channels[channels["kind"] == "socket"]["peer"].isna()).count(True) == 1, "the listener"
    written = events[events["op"] == "socket.send"]
    assert list(written["result"]) == [10], "what the file held until it was flushed"
    assert list(written["line"]) == [line("unix_sockets.py", "flush()")]
    streams = run.trace.streams
    assert {"makefile(fd 4)"} <= set(streams["name"])
    taken = events[(events["kind"] == "take") & (events["stream"].notna())]
    assert line("unix_sockets.py", "for line in self.rfile") in set(taken["line"])
    read = events[(events["kind"] == "read") & events["op"].str.startswith("socket.")]
    assert set(read["wait"]) == {"nodata"}


def test_each_datagram_has_its_address(tmp_path: Path) -> None:
    run, events = recorded(tmp_path, "datagrams.py")
    server = next(row.address for row in events.itertuples() if row.op == "socket.bind")
    clients = {address for address in events[events["op"] == "socket.recvfrom"]["address"] if address != server}
    assert len(clients) == 2
    asked, answered = (events[(events["op"] == "socket.sendto") & (events["address"].isin(to))] for to in ({server}, clients))
    assert sorted(asked["result"]) == [4, 4, 13, 13]
    assert sorted(answered["result"]) == [7, 7, 8, 8]
    assert sorted(moved(events, "read", 0)) == [4, 4, 13, 13]
    forms = run.channels[run.channels["kind"] == "socket"]["form"]
    assert set(forms) == {"udp"}


def test_each_way_of_waiting_lists_its_ends(tmp_path: Path) -> None:
    run, events = recorded(tmp_path, "selecting.py")
    waits = events[events["kind"] == "select"]
    assert list(waits["op"]) == ["select.select"] * 2 + ["poll.poll"] * 2 + ["epoll.poll"] * 4
    assert set(waits["wait"]) == {"ready"}
    assert not waits["timed"].any()
    members = run.trace.members
    assert list(members.groupby("event").size()) == [2, 1] * 4
    assert set(members["access"]) == {"r"}
    calls = ("select.select(", "    return poller.poll()", "        return poller.poll()", "selector.select()")
    assert list(dict.fromkeys(waits["line"])) == [line("selecting.py", text) for text in calls]
    ready = waits.set_index("event")["extra"]
    assert all(ready[event] in set(rows["fd"]) for event, rows in members.groupby("event"))


def test_a_passed_descriptor_leads_to_the_same_pipe(tmp_path: Path) -> None:
    _, events = recorded(tmp_path, "passed_descriptor.py")
    passed, received, pipe, read = (
        next(events[events["op"] == op].itertuples())
        for op in ("descriptor passed", "descriptor received", "os.pipe", "os.read")
    )
    written = next(row for row in events.itertuples() if row.op == "os.write" and row.process == 1)
    assert passed.channel == received.channel == pipe.channel == read.channel == written.channel
    assert (passed.process, passed.fd, passed.line) == (0, pipe.result, line("passed_descriptor.py", "sock.sendmsg("))
    assert (received.process, received.result, received.line) == (1, written.fd, line("passed_descriptor.py", "sock.recvmsg("))
    assert events["op"][passed.parent] == "socket.sendmsg"
    assert events["op"][received.parent] == "socket.recvmsg"
    assert read.wait == "nodata"
