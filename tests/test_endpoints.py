"""Both ends of a connection find each other: on rows as they are put together, and in programs that were recorded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ipctrace.tracer.endpoints import Endpoint, connect

from tests.recorded import record


def rows(*ends: tuple[str, str, str]) -> list[dict[str, Any]]:
    """Channels of (form, local, remote); a tty's local is its path."""
    return [
        {
            "channel": number, "kind": "tty" if form == "tty" else "socket", "inode": 1000 + number,
            "form": None if form == "tty" else form, "local": local or None, "remote": remote or None,
            "path": local if form == "tty" else None,
        }
        for number, (form, local, remote) in enumerate(ends)
    ]  # fmt: skip


def peers(table: list[dict[str, Any]], *ends: Endpoint, inodes: dict[int, int] | None = None) -> list[int | None]:
    connect(table, ends, inodes or {})
    return [row.get("peer") for row in table]


SERVER, CLIENT, OTHER = "127.0.0.1:80", "127.0.0.1:5000", "127.0.0.1:5001"


def test_two_ends_whose_addresses_are_each_others_are_one_connection() -> None:
    table = rows(("tcp", SERVER, ""), ("tcp", CLIENT, SERVER), ("tcp", OTHER, SERVER), ("tcp", SERVER, OTHER), ("tcp", SERVER, CLIENT))
    ends = [Endpoint(k, k, 7, None) for k in range(5)]
    assert peers(table, *ends) == [None, 4, 3, 2, 1]


def test_forms_are_told_apart() -> None:
    assert peers(rows(("tcp", CLIENT, SERVER), ("udp", SERVER, CLIENT)), Endpoint(0, 1, 7, None), Endpoint(1, 2, 7, None)) == [None, None]


def test_a_port_that_is_used_again_belongs_to_the_connection_of_its_time() -> None:
    table = rows(("tcp", CLIENT, SERVER), ("tcp", SERVER, CLIENT), ("tcp", CLIENT, SERVER), ("tcp", SERVER, CLIENT))
    ends = [Endpoint(k, 10 * k, 7, None, since=10 * k - 5 if k % 2 == 0 else None) for k in range(4)]
    assert peers(table, *ends) == [1, 0, 3, 2]


def test_an_end_that_was_accepted_before_another_began_to_connect_is_not_its_peer() -> None:
    table = rows(("tcp", SERVER, CLIENT), ("tcp", CLIENT, SERVER), ("tcp", SERVER, CLIENT))
    ends = [Endpoint(0, 10, 7, None), Endpoint(1, 25, 8, None, since=20), Endpoint(2, 30, 7, None)]
    assert peers(table, *ends) == [None, 2, 1], "the first client isn't traced"


def test_a_connection_to_itself_has_no_peer() -> None:
    assert peers(rows(("tcp", CLIENT, CLIENT)), Endpoint(0, 1, 7, None)) == [None]


PATH = "/tmp/here"
LISTENER, MADE, ACCEPTED = ("unix-stream", PATH, ""), ("unix-stream", "", PATH), ("unix-stream", PATH, "")


def test_the_ends_at_a_path_meet_in_the_order_in_which_they_were_made() -> None:
    table = rows(LISTENER, MADE, MADE, ACCEPTED, ACCEPTED)
    ends = [
        Endpoint(0, 1, 7, None), Endpoint(1, 12, 8, 7, since=10), Endpoint(2, 22, 8, 7, since=20),
        Endpoint(3, 30, 7, 8), Endpoint(4, 31, 7, 8),
    ]  # fmt: skip
    assert peers(table, *ends) == [None, 3, 4, 1, 2]


def test_the_pid_of_who_connected_tells_ends_apart_that_were_made_at_once() -> None:
    table = rows(LISTENER, MADE, MADE, ACCEPTED, ACCEPTED)
    ends = [
        Endpoint(0, 1, 7, None), Endpoint(1, 12, 8, 7, since=10), Endpoint(2, 13, 9, 7, since=10),
        Endpoint(3, 30, 7, 9), Endpoint(4, 31, 7, 8),
    ]  # fmt: skip
    assert peers(table, *ends) == [None, 4, 3, 2, 1]


def test_where_two_answers_are_possible_none_is_given_unless_the_system_has_one() -> None:
    table = rows(LISTENER, MADE, MADE, ACCEPTED, ACCEPTED)
    ends = [
        Endpoint(0, 1, 7, None), Endpoint(1, 15, 8, 7, since=10), Endpoint(2, 14, 8, 7, since=11),
        Endpoint(3, 30, 7, 8), Endpoint(4, 31, 7, 8),
    ]  # fmt: skip
    assert peers(table, *ends) == [None] * 5, "two threads of one process connected at once"
    assert peers(rows(LISTENER, MADE, MADE, ACCEPTED, ACCEPTED), *ends, inodes={1001: 1004, 1003: 1002})[1:] == [4, 3, 2, 1]


def test_two_who_accept_may_overtake_each_other() -> None:
    ends = [
        Endpoint(0, 1, 7, None), Endpoint(1, 12, 8, 7, since=10), Endpoint(2, 22, 8, 7, since=20),
        Endpoint(3, 30, 7, 8, thread=7), Endpoint(4, 31, 7, 8, thread=70),
    ]  # fmt: skip
    assert peers(rows(LISTENER, MADE, MADE, ACCEPTED, ACCEPTED), *ends) == [None] * 5
    one_by_one = [*ends[:2], ends[2]._replace(since=35, time=36), ends[3], ends[4]._replace(time=40)]
    assert peers(rows(LISTENER, MADE, MADE, ACCEPTED, ACCEPTED), *one_by_one) == [None, 3, 4, 1, 2]


def test_who_connected_to_an_earlier_listener_is_not_accepted_by_a_later_one() -> None:
    table = rows(LISTENER, MADE, LISTENER, MADE, ACCEPTED)
    ends = [
        Endpoint(0, 1, 7, None), Endpoint(1, 12, 8, 7, since=10), Endpoint(2, 20, 7, None),
        Endpoint(3, 32, 8, 7, since=30), Endpoint(4, 40, 7, 8),
    ]  # fmt: skip
    assert peers(table, *ends) == [None, None, None, 4, 3]


def test_what_a_child_says_later_of_its_parents_connection_changes_nothing() -> None:
    ends = [Endpoint(0, 1, 7, None), Endpoint(1, 12, 8, 7, since=10), Endpoint(2, 20, 7, 8), Endpoint(1, 30, 99, 7), Endpoint(2, 31, 98, 8)]
    assert peers(rows(LISTENER, MADE, ACCEPTED), *ends) == [None, 2, 1]


def test_a_terminals_leader_and_follower_are_each_others() -> None:
    table = rows(("pty", "master:/dev/pts/4", "/dev/pts/4"), ("tty", "/dev/pts/4", ""), ("tty", "/dev/pts/0", ""))
    assert peers(table, Endpoint(0, 1, 7, None)) == [1, 0, None]


# Programs

if_version_6 = pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 on this machine")


def ends_of(folder: Path, program: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sockets' channels, and the events, of a recorded program that must complete."""
    file = folder / "program.py"
    file.write_text(program, "utf-8")
    recorded = record(folder, file)
    assert recorded.status == 0, recorded.errors.decode()
    run = recorded.run
    assert run.verdict.name == "completed"
    return run.channels[run.channels["kind"] == "socket"].set_index("channel"), run.events


def bytes_match(channels: pd.DataFrame, events: pd.DataFrame) -> int:
    """Every byte written at an end is read at its peer; returns how many connections there were."""
    moved = events[events["channel"].isin(channels.index)]
    written = moved[moved["kind"] == "write"].groupby("channel")["result"].sum()
    read = moved[moved["kind"] == "read"].groupby("channel")["result"].sum()
    for channel, peer in channels["peer"].dropna().items():
        assert channels["peer"][peer] == channel
        assert written.get(channel, 0) == read.get(peer, 0)
    assert set(written.index) | set(read.index) <= set(channels["peer"].dropna().index)
    return len(channels["peer"].dropna()) // 2


SERVE = """
import os, socket, sys, tempfile, threading
CLIENTS = {clients}
folder = tempfile.TemporaryDirectory()
def address(family): return folder.name + '/socket' if family == socket.AF_UNIX else ('::1' if family == socket.AF_INET6 else '127.0.0.1', 0)
family = socket.{family}
listener = socket.socket(family); listener.bind(address(family)); listener.listen(CLIENTS)
def serve():
    for _ in range(CLIENTS):
        with listener.accept()[0] as client:
            client.sendall(client.recv(99) * 2)
def ask(k):
    with socket.socket(family) as sock:
        sock.connect(listener.getsockname())
        sock.sendall(b'x' * (k + 1))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(99): pass
"""


@pytest.mark.parametrize("family", ["AF_INET", pytest.param("AF_INET6", marks=if_version_6), "AF_UNIX"])
@pytest.mark.sample(1)
def test_one_process_serves_many_clients_in_threads(family: str, tmp_path: Path) -> None:
    program = SERVE.format(clients=40, family=family) + (
        "threads = [threading.Thread(target=ask, args=(k,)) for k in range(CLIENTS)]\n"
        "for each in threads: each.start()\nserve()\nfor each in threads: each.join()\n"
    )
    channels, events = ends_of(tmp_path, program)
    found = len(channels["peer"].dropna()) // 2
    if family == "AF_UNIX":  # connects that overlap can't be told apart by order
        assert found <= 40
    else:
        assert bytes_match(channels, events) == 40


@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
def test_two_hundred_clients_one_after_the_other(family: str, tmp_path: Path) -> None:
    program = SERVE.format(clients=200, family=family) + (
        "if not os.fork():\n    for k in range(CLIENTS): ask(k % 7)\n    os._exit(0)\nserve()\nos.wait()\n"
    )
    channels, events = ends_of(tmp_path, program)
    assert bytes_match(channels, events) == 200


@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
def test_several_children_accept_at_one_listener(family: str, tmp_path: Path) -> None:
    program = SERVE.format(clients=4, family=family) + (
        "for _ in range(3):\n    if not os.fork(): serve(); os._exit(0)\n"
        "for k in range(12):\n    if not os.fork(): ask(k); os._exit(0)\n"
        "for _ in range(15): os.wait()\n"
    )
    channels, events = ends_of(tmp_path, program)
    assert bytes_match(channels, events) == 12


def test_a_port_is_used_again_by_the_next_client(tmp_path: Path) -> None:
    program = """
import socket, struct
listener = socket.create_server(('127.0.0.1', 0))
port = 0
for k in range(5):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))  # closes at once: no TIME_WAIT
    client.bind(('127.0.0.1', port)); port = client.getsockname()[1]
    client.connect(listener.getsockname())
    server, _ = listener.accept()
    client.sendall(b'x' * k); client.shutdown(socket.SHUT_WR)
    while server.recv(9): pass
    client.close(); server.close()
"""
    channels, events = ends_of(tmp_path, program)
    assert bytes_match(channels, events) == 5
    assert channels["local"].nunique() == 2


def test_datagram_sockets_that_are_connected_to_each_other_are_peers(tmp_path: Path) -> None:
    program = """
import socket, tempfile
with tempfile.TemporaryDirectory() as folder:
    for family, one, other in ((socket.AF_INET, ('127.0.0.1', 0), ('127.0.0.1', 0)), (socket.AF_UNIX, folder + '/a', folder + '/b')):
        a, b = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        a.bind(one); b.bind(other)
        a.connect(b.getsockname()); b.connect(a.getsockname())
        a.send(b'spam'); b.recv(99); b.send(b'eggs and'); a.recv(99)
        a.close(); b.close()
"""
    channels, events = ends_of(tmp_path, program)
    assert bytes_match(channels, events) == 2
    assert set(channels["form"]) == {"udp", "unix-datagram"}


@if_version_6
def test_a_server_for_both_versions_of_the_internets_protocol_has_old_clients(tmp_path: Path) -> None:
    program = """
import socket
listener = socket.create_server(('::', 0), family=socket.AF_INET6, dualstack_ipv6=True)
client = socket.create_connection(('127.0.0.1', listener.getsockname()[1]))
server, _ = listener.accept()
client.sendall(b'x'); server.recv(1)
client.close(); server.close(); listener.close()
"""
    channels, events = ends_of(tmp_path, program)
    assert bytes_match(channels, events) == 1


def test_a_socket_that_an_exec_passes_on_is_the_same_end(tmp_path: Path) -> None:
    program = f"""
import os, socket, subprocess
a, b = socket.socketpair()
child = subprocess.Popen([{sys.executable!r}, '-c', 'import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.sendall(s.recv(99))', str(b.fileno())], pass_fds=[b.fileno()])
b.close()
a.sendall(b'spam'); a.recv(99)
child.wait()
a.close()
"""
    channels, events = ends_of(tmp_path, program)
    assert bytes_match(channels, events) == 1
    assert len(channels) == 2
