"""Sockets as the runtime records them: bytes, ends, waits, descriptors on their way, and files made of them."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from ipctrace.tracer.logs import read_logs
from ipctrace.tracer.runtime import table

from tests import target
from tests.interpreters import EACH

each_interpreter = pytest.mark.parametrize("python", EACH)
READS, WRITES = [
    {name for _, name, kind, _ in table.CALLS if kind == wanted and name.startswith("socket.")}
    for wanted in ("read", "write")
]


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "live"


def run(text: str, live: Path, python: str = sys.executable, **more: str) -> list[list[target.Call]]:
    """The events of a program's processes, which must end well."""
    done = target.run(text, live=live, python=python, **more)  # type: ignore[arg-type]
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    return target.calls(live)


def sockets(events: list[target.Call]) -> list[target.Call]:
    return [event for event in events if event.op.startswith("socket.")]


def endpoints(live: Path) -> list[dict[str, str]]:
    return [d.text for log in read_logs(live)[0] for d in log.definitions if d.code == table.ENDPOINT]


def addresses(live: Path, log: int = 0) -> dict[int, str]:
    found = read_logs(live)[0][log].definitions
    return {d.offset: d.text["text"] for d in found if d.code == table.ADDRESS}


EVERY_WAY = """
import array, socket
a, b = socket.socketpair()
a.send(b'send'); a.sendall(b'all'); a.sendmsg(iter([b'ms', bytearray(b'g')]))
print(b.recv(4), b.recvfrom(3), b.recvmsg(2))
buffer, more = bytearray(8), array.array('i', [0])
print(b.recv_into(buffer, 1))
a.sendall(b'12345678abcdefgh')
print(b.recvfrom_into(buffer)[0], b.recvmsg_into([memoryview(buffer)[:2], more])[0], buffer, b.recv(99))
a.close()
print(b.recv(1), b.fileno())
b.close()
"""


@each_interpreter
def test_every_way_to_send_and_receive_has_its_bytes_and_both_ends(python: str, live: Path) -> None:
    (events,) = run(EVERY_WAY, live, python)
    pair = next(e for e in events if e.op == "socket.socketpair")
    assert (pair.fd, pair.result, pair.line) == (3, 4, 3)
    seen = [(e.op[7:], e.fd, e.size, e.result, e.data) for e in sockets(events) if e.op in READS | WRITES]
    assert seen == [
        ("send", 3, 4, 4, b"send"), ("sendall", 3, 3, 3, b"all"), ("sendmsg", 3, 3, 3, b"msg"),
        ("recv", 4, 4, 4, b"send"), ("recvfrom", 4, 3, 3, b"all"), ("recvmsg", 4, 2, 2, b"ms"),
        ("recv_into", 4, 1, 1, b"g"),
        ("sendall", 3, 16, 16, b"12345678abcdefgh"),
        ("recvfrom_into", 4, 8, 8, b"12345678"), ("recvmsg_into", 4, 6, 6, b"abcdef"), ("recv", 4, 99, 2, b"gh"),
        ("recv", 4, 1, 0, b""),
    ]  # fmt: skip
    written, read = ({e.channel for e in events if e.op in some} for some in (WRITES, READS))
    (log,) = read_logs(live)[0]
    peers = {d.channel: d.offset for d in log.definitions if d.code == table.ENDPOINT}
    assert {peers[channel] for channel in written} == read
    assert {peers[channel] for channel in read} == written
    assert [e.fd for e in events if e.op == "socket.close"] == [3, 4]


@each_interpreter
def test_connect_and_accept_say_who_met_whom(python: str, live: Path) -> None:
    text = (
        "import socket\ns = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(5)\n"
        "c = socket.create_connection(s.getsockname())\nd, who = s.accept()\nassert who == c.getsockname()\n"
        "c.shutdown(socket.SHUT_WR); d.recv(1); print(s.getsockname()[1], who[1])\nfor each in (c, d, s): each.close()\n"
    )
    done = target.run(text, live=live, python=python)
    server, client = (f"127.0.0.1:{port}" for port in done.stdout.decode().split())
    (events,) = target.calls(live)
    words = addresses(live)
    bind, listen, connect, accept, shutdown = (
        next(e for e in events if e.op == f"socket.{op}") for op in ("bind", "listen", "connect", "accept", "shutdown")
    )
    assert [words[e.offset] for e in (bind, connect, accept)] == [server, server, client]
    assert all(e.flags & table.ADDRESSED for e in (bind, connect, accept))
    assert (listen.size, shutdown.size, connect.line, accept.line) == (5, 1, 3, 4)
    assert accept.fd == bind.fd
    assert accept.result == next(e for e in events if e.op == "socket.recv").fd
    known = [(e["form"], e["local"], e["remote"]) for e in endpoints(live)]
    assert {("tcp", server, ""), ("tcp", client, server), ("tcp", server, client)} <= set(known)


def test_a_unix_socket_says_the_pid_of_who_connected(live: Path, tmp_path: Path) -> None:
    text = (
        "import socket, sys\ns = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()\n"
        "c = socket.socket(socket.AF_UNIX); c.connect(sys.argv[1]); d, _ = s.accept()\n"
    )
    path = str(tmp_path / "here")
    done = target.run(text, path, live=live, options=("-W", "ignore"))
    assert done.stderr == b""
    pid = str(target.calls(live)[0][0].pid)
    known = [(e["form"], e["local"], e["remote"], e["peer_pid"]) for e in endpoints(live)]
    assert ("unix-stream", path, "", pid) in known
    assert ("unix-stream", "", path, pid) in known
    assert ("unix-stream", path, "", "") in known, "the listener has no peer"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("b.settimeout(None)", 0),
        ("b.settimeout(60)", table.TIMED),
        ("b.setblocking(False)", table.NONBLOCKING),
        ("socket.setdefaulttimeout(60); a, b = socket.socketpair()", table.TIMED),
        ("flags = socket.MSG_DONTWAIT", table.NONBLOCKING),
        ("flags = socket.MSG_DONTWAIT; b.settimeout(60)", table.TIMED),  # Python waits before it asks
        ("b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 60, 0))", table.TIMED),
        ("b.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 0, 0))", 0),
    ],
)
def test_a_wait_that_ends_by_itself_is_told_from_one_that_does_not(how: str, expected: int, live: Path) -> None:
    text = f"import socket, struct\na, b = socket.socketpair()\nflags = 0\n{how}\na.send(b'x')\nb.recv(1, flags)\n"
    (events,) = run(text, live)
    assert [e.flags for e in events if e.op == "socket.recv"] == [expected]


@each_interpreter
def test_what_was_refused_or_took_too_long_has_its_error(python: str, live: Path) -> None:
    text = """
import errno, os, socket
a, b = socket.socketpair()
b.settimeout(0.001)
try: b.recv(1)
except socket.timeout: pass
b.setblocking(False)
try: b.recv(1)
except BlockingIOError: pass
try:
    while True: b.send(bytes(4096))
except BlockingIOError: pass
c = socket.socket()
assert c.connect_ex(('127.0.0.1', 1)) == errno.ECONNREFUSED
c.close()
try: c.recv(1)
except OSError as error: assert error.errno == errno.EBADF
a.close()
try: b.sendall(b'x')
except OSError as error: assert error.errno in (errno.EPIPE, errno.ECONNRESET), error
b.close()
"""
    (events,) = run(text, live, python)
    failed = [(e.op, e.error) for e in sockets(events) if e.state == table.FAILED]
    assert failed[0][0] == "socket.recv", "the time-out"
    assert failed[1:5] == [
        ("socket.recv", errno.EAGAIN), ("socket.send", errno.EAGAIN), ("socket.connect_ex", errno.ECONNREFUSED),
        ("socket.recv", errno.EBADF),
    ]  # fmt: skip
    assert failed[5][0] == "socket.sendall"


def test_a_signal_does_not_end_a_wait_and_an_exception_of_its_handler_does(live: Path) -> None:
    text = """
import signal, socket
a, b = socket.socketpair()
signal.signal(signal.SIGALRM, lambda *_: a.send(b'late'))
signal.setitimer(signal.ITIMER_REAL, 0.02)
assert b.recv(9) == b'late'
def stop(*_): raise KeyError('stop')
signal.signal(signal.SIGALRM, stop)
signal.setitimer(signal.ITIMER_REAL, 0.02)
try: b.recv(9)
except KeyError: pass
"""
    (events,) = run(text, live)
    first, second = [e for e in events if e.op == "socket.recv"]
    sent = next(e for e in events if e.op == "socket.send")
    assert first.enter < sent.enter < first.exit
    assert (first.result, second.state) == (4, table.FAILED)


def test_sendall_is_one_record_however_long_it_takes_and_stays_open_where_nobody_reads(live: Path) -> None:
    text = """
import socket, threading
a, b = socket.socketpair()
got = []
def read():
    while sum(map(len, got)) < 1_000_000: got.append(b.recv(1 << 16))
thread = threading.Thread(target=read); thread.start()
a.sendall(bytes(1_000_000)); thread.join()
print(flush=True)
a.sendall(bytes(10_000_000))
"""
    environment = target.traced_environment(live, target.clean_environment())
    with subprocess.Popen([sys.executable, "-c", text], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"\n"
        while [e.state for e in target.calls(live)[0] if e.op == "socket.sendall"] != [table.DONE, table.OPEN]:
            assert process.poll() is None
        process.kill()
    (events,) = target.calls(live)
    whole, stuck = [e for e in events if e.op == "socket.sendall"]
    assert (whole.result, stuck.size) == (1_000_000, 10_000_000)
    assert sum(e.result for e in events if e.op == "socket.recv") == 1_000_000


def test_a_short_send_counts_what_went_and_a_broken_off_sendall_nothing_that_is_certain(live: Path) -> None:
    text = """
import signal, socket
a, b = socket.socketpair()
a.setblocking(False)
assert 0 < a.send(bytes(10_000_000)) < 10_000_000
a.setblocking(True)
def stop(*_): raise KeyError('stop')
signal.signal(signal.SIGALRM, stop); signal.setitimer(signal.ITIMER_REAL, 0.02)
try: a.sendall(bytes(1_000_000))
except KeyError: pass
"""
    (events,) = run(text, live)
    short, broken = [e for e in events if e.op in WRITES]
    assert 0 < short.result < short.size == 10_000_000
    assert (broken.state, broken.result, broken.size) == (table.FAILED, None, 1_000_000)


def test_a_number_that_leads_elsewhere_by_now_is_asked_anew(live: Path) -> None:
    text = """
import os, socket, warnings
warnings.simplefilter('ignore')
a, b = socket.socketpair()
a.send(b'1'); del a  # closed in C, which no record tells of
c, d = socket.socketpair()
c.send(b'2')
assert c.fileno() == 3
e, f = socket.socketpair()
os.dup2(e.fileno(), c.fileno())
c.send(b'3'); assert f.recv(1) == b'3'
os.close(f.detach())
g = socket.socket(fileno=c.detach())
g.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5000)
try: g.send(b'4')
except BrokenPipeError: pass
"""
    (events,) = run(text, live)
    pairs = [e.channel for e in events if e.op == "socket.socketpair"]
    assert len(set(pairs)) == 3
    assert [(e.fd, e.channel) for e in events if e.op == "socket.send"] == [(3, pairs[k]) for k in (0, 1, 2, 2)]


@each_interpreter
def test_a_passed_descriptor_is_told_of_on_both_sides(python: str, live: Path) -> None:
    text = """
import array, os, socket
a, b = socket.socketpair()
if not os.fork():
    a.close()
    _, ancillary, _, _ = b.recvmsg(9, socket.CMSG_LEN(8))
    fds = array.array('i'); fds.frombytes(ancillary[0][2])
    os.write(fds[0], b'through it'); os._exit(0)
b.close()
r, w = os.pipe()
a.sendmsg([b'here'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [w]))])
os.close(w)
assert os.read(r, 99) == b'through it'
os.wait(); os.close(r); a.close()
"""
    sender, receiver = run(text, live, python)
    passed = next(e for e in sender if e.op == "descriptor passed")
    message = next(e for e in sender if e.op == "socket.sendmsg")
    assert (passed.fd, passed.channel) == (5, next(e for e in sender if e.op == "os.pipe").channel)
    assert message.enter <= passed.enter <= passed.exit <= message.exit
    received = next(e for e in receiver if e.op == "descriptor received")
    through = next(e for e in receiver if e.op == "os.write")
    assert (received.result, received.channel) == (through.fd, through.channel)
    held = [d for d in read_logs(live)[0][1].definitions if d.code == table.DESCRIPTOR and d.fd == received.result]
    assert held[-1].text["access"] == "w"


@each_interpreter
def test_bytes_that_a_sockets_file_holds_back_are_counted(python: str, live: Path) -> None:
    text = """
import socket
a, b = socket.socketpair()
with a.makefile('w') as out, b.makefile('rb') as into:
    out.write('held')
    out.write(' back\\n'); out.flush()
    print(into.readline())
    out.write('end')
a.close()
print(b.recv(9)); b.close()
"""
    (events,) = run(text, live, python)
    accepted = [(e.line, e.size, e.pending) for e in events if e.op == "stream.write" and e.stream > 3]
    assert accepted == [(5, 4, 4), (6, 6, 10), (8, 3, 3)]
    sent = [(e.data, e.pending, e.offset) for e in events if e.op == "socket.send"]
    assert sent == [(b"held back\n", 0, 0), (b"end", 0, 10)]
    assert {e.stream for e in events if e.op in WRITES} == {e.stream for e in events if e.op == "stream.flush" and e.stream > 3}
    assert [e.data for e in events if e.op == "socket.recv_into"] == [b"held back\n"]
    assert [e.line for e in events if e.op == "stream.readline"] == [7]
    assert [e.fd for e in events if e.op.endswith("close")] == [3, 4], "closing the file doesn't close the socket"


def test_a_file_that_reads_and_writes_a_socket_counts_as_well(live: Path) -> None:
    text = """
import socket
a, b = socket.socketpair()
with a.makefile('rw') as one, b.makefile('rwb') as other:
    one.write('question\\n'); one.flush()
    other.write(other.readline().upper()); other.flush()
    print(one.readline())
"""
    (events,) = run(text, live)
    assert [(e.op, e.pending) for e in events if e.op == "stream.write" and e.stream > 3] == [("stream.write", 9)] * 2
    assert [(e.op, e.data) for e in events if e.op in READS | WRITES] == [
        ("socket.send", b"question\n"), ("socket.recv_into", b"question\n"),
        ("socket.send", b"QUESTION\n"), ("socket.recv_into", b"QUESTION\n"),
    ]  # fmt: skip
    streams = [d.text for d in read_logs(live)[0][0].definitions if d.code == table.STREAM][3:]
    assert [(s["name"], s["mode"], s["layer"], s["why"]) for s in streams] == [
        ("makefile(fd 3)", "rw", "text", "makefile()'s default"), ("makefile(fd 4)", "rw", "binary", "makefile()'s default"),
    ]  # fmt: skip


def test_what_a_subclass_sends_in_its_own_way_is_not_on_the_channel_but_counts_in_the_stream(live: Path) -> None:
    """As ssl.SSLSocket does: what the program hands over isn't what goes over the wire."""
    text = """
import os, socket
class Secret(socket.socket):
    def send(self, data, flags=0): return os.write(self.fileno(), bytes(byte ^ 1 for byte in data))
a, b = socket.socketpair()
with Secret(fileno=a.detach()) as secret, secret.makefile('wb') as out:
    out.write(b'abc'); out.flush()
    print(b.recv(9))
"""
    (events,) = run(text, live)
    raw = next(e for e in events if e.op == "raw.write" and e.stream == 4)
    assert (raw.data, raw.pending, raw.channel, raw.fd) == (b"abc", 0, 0, -1)
    assert [e.data for e in events if e.op == "os.write"] == [b"`cb"]


def test_a_look_at_what_is_there_takes_nothing_away(live: Path) -> None:
    text = "import socket\na, b = socket.socketpair()\na.send(b'x')\nb.recv(1, socket.MSG_PEEK); b.recv(1)\n"
    (events,) = run(text, live)
    assert [(e.op, e.result, e.data) for e in sockets(events)[2:]] == [("socket.peek", 1, b"r4"), ("socket.recv", 1, b"x")]


@each_interpreter
def test_datagrams_have_the_address_that_they_came_from_or_go_to(python: str, live: Path, tmp_path: Path) -> None:
    text = """
import os, socket, sys
os.chdir(sys.argv[1])
for family, place in ((socket.AF_INET, ('127.0.0.1', 0)), (socket.AF_UNIX, 'server'), (socket.AF_UNIX, b'\\0abstract'), (socket.AF_UNIX, b'\\xff')):
    with socket.socket(family, socket.SOCK_DGRAM) as server, socket.socket(family, socket.SOCK_DGRAM) as client:
        server.bind(place)
        client.sendto(b'asked', server.getsockname())
        data, whence = server.recvfrom(99)
        if whence:
            server.sendto(b'answered', 0, whence)
            client.recvfrom_into(bytearray(9))
"""
    done = target.run(text, str(tmp_path), live=live, python=python)
    assert done.stderr == b""
    (events,) = target.calls(live)
    words = addresses(live)
    named = [(e.op[7:], words.get(e.offset) if e.flags & table.ADDRESSED else None) for e in sockets(events) if e.op in READS | WRITES]
    server, client = named[0][1], named[1][1]
    assert client is not None
    assert named[:4] == [("sendto", server), ("recvfrom", client), ("sendto", client), ("recvfrom_into", server)]
    assert named[4:] == [
        ("sendto", "server"), ("recvfrom", None), ("sendto", "@abstract"), ("recvfrom", None), ("sendto", "\udcff"), ("recvfrom", None),
    ]  # fmt: skip
    port = client.split(":")[1]
    assert ("udp", f"0.0.0.0:{port}", "") in [(e["form"], e["local"], e["remote"]) for e in endpoints(live)], (
        "bound as it sent, to no address in particular"
    )


def test_a_fork_while_a_thread_is_in_recv_leaves_both_processes_right(live: Path) -> None:
    text = """
import os, socket, threading
a, b = socket.socketpair()
inside = threading.Thread(target=b.recv, args=(1,)); inside.start()
if not os.fork():
    c, d = socket.socketpair()
    c.send(b'child'); d.recv(9)
    os._exit(0)
os.wait()
a.send(b'x'); inside.join()
"""
    parent, child = run(text, live)
    assert [(e.op, e.result) for e in child if e.op in READS | WRITES] == [("socket.send", 5), ("socket.recv", 5)]
    assert [(e.op, e.result) for e in parent if e.op in READS | WRITES] == [("socket.recv", 1), ("socket.send", 1)]
    assert {e.channel for e in child if e.op in READS}.isdisjoint(e.channel for e in parent if e.channel)


def test_the_child_of_a_fork_says_anew_what_a_socket_of_its_parents_is(live: Path) -> None:
    text = """
import os, socket
a, b = socket.socketpair(); c = b.dup()
b.close()
if not os.fork(): a.send(b'x'); c.recv(1); os._exit(0)
os.wait()
"""
    _, child = run(text, live)
    defined = {d.channel for d in read_logs(live)[0][1].definitions if d.code == table.CHANNEL}
    assert {e.channel for e in child if e.op in READS | WRITES} <= defined


def test_a_connection_that_is_made_without_waiting_is_known_when_it_is_there(live: Path) -> None:
    text = """
import select, socket
s = socket.create_server(('127.0.0.1', 0))
c = socket.socket(); c.setblocking(False)
c.connect_ex(s.getsockname())
select.select([], [c], [])
c.send(b'x')
print(*c.getsockname(), *c.getpeername()); s.close(); c.close()
"""
    done = target.run(text, live=live)
    host, port, other, server = done.stdout.decode().split()
    assert ("tcp", f"{host}:{port}", f"{other}:{server}") in [(e["form"], e["local"], e["remote"]) for e in endpoints(live)]


def test_a_servers_memory_of_its_clients_does_not_grow(live: Path) -> None:
    text = """
import os, socket
s = socket.create_server(('127.0.0.1', 0))
for _ in range(50):
    with socket.create_connection(s.getsockname()) as c, s.accept()[0] as d: c.send(b'x'); d.recv(1)
if not os.fork(): os._exit(0)
os.wait()
"""
    run(text, live)
    child = read_logs(live)[0][1]
    assert sum(d.code == table.CHANNEL for d in child.definitions) < 10


def test_a_million_bytes_are_recorded_whole_where_payloads_are(live: Path) -> None:
    text = """
import socket, threading
a, b = socket.socketpair()
data = bytes(range(256)) * 400
thread = threading.Thread(target=a.sendall, args=(memoryview(data),)); thread.start()
buffer = bytearray(len(data)); view = memoryview(buffer)
while view: view = view[b.recv_into(view):]
assert buffer == data
thread.join()
"""
    (events,) = run(text, live, payload="full")
    data = bytes(range(256)) * 400
    assert next(e for e in events if e.op == "socket.sendall").data == data
    assert b"".join(e.data for e in events if e.op == "socket.recv_into") == data
