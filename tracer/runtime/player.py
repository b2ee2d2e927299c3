"""A replay of one process: what the recorder wraps is answered from a recording, and what goes out is compared with it.

Loaded only where the run's folder holds a script (tracer/replay/script.py makes it from a trace). It takes the place of
the system *beneath* the recorder, so each call passes the same wrapper as when it was recorded, and what the wrapper
would write down (`Log.enter`) can be compared with what it wrote down then:

    the program → the recorder's wrapper → enter: the tape moves on, or the replay departs from it
                                         → the system's function, replaced: answers what the tape says

Laws
----
1. Each thread has a tape: its recorded calls in program order (the idea: Flashback, Srinivasan et al. 2004; rr).
   Bytes are compared as a run: in other portions they are the same, in another order or at another place they aren't.
2. A call whose other side is outside of the process isn't made. Descriptors are real, of the same kind, and lead
   nowhere: so buffers are as large, and terminals as interactive, as they were.
3. Plain files and locks of threads are the program's own: there the calls are made. A file that has been removed or
   changed since is replaced by what was read of it.
4. A thread waits for its turn while others have not yet done what they had done by then.
5. Nobody is started but a copy of this process where a fork leads to the one that is replayed; its parent only waits.
"""

from __future__ import annotations

import marshal
import os
import sys
from _thread import get_ident
from _weakref import ref
from time import monotonic_ns, sleep

from . import player_debug, player_system, table
from .player_ends import STILL, Ends
from .player_names import Names
from .player_table import IN, INSIDE, MADE, OPENING, OUT, READY, ROLES, SENT, SIGNAL, TEXT, WHOLE
from .player_tape import Tape

SCRIPT = "script"
_kill, _getpid = os.kill, os.getpid
_NAMES = {code: name for code, name, _, _ in table.CALLS}
_ROLES = {table.CODE[name]: role for name, role in ROLES.items()}
_UNCAUGHT = table.CODE["uncaught"]
_OPENING = {table.CODE[name] for name in OPENING}
_MOST_LOOKS = 10_000


class Player(Names, Ends):
    """Answers the calls of this process."""

    def __init__(self, runtime, folder):
        self.runtime, self.log = runtime, runtime.log
        with open(os.path.join(folder, SCRIPT), "rb") as file:
            script = marshal.loads(file.read())
        self.folder, self.script = folder, script
        self.told = os.path.join(folder, "told")
        self.images = script["images"]
        self.breaks, self.break_text = set(script["breaks"]), script["break_text"]
        self.timing = script["timing"]
        self.kinds = {}  # number of a channel → whether it is a plain file that the program opened by itself
        self.leads = dict(script["given"])  # a recorded descriptor → the recorded channel that it leads to
        self.alias = {}  # a descriptor now → the one that it stands for
        self.opened = {}  # slot of a record → the recorded call that gave out a descriptor
        self.paused = False
        self.moved = monotonic_ns()
        self.debugger = None
        self.given = set()  # device and inode of what the process was started with
        for fd in self.leads:
            try:
                status = os.fstat(fd)
                self.given.add((status.st_dev, status.st_ino))
            except OSError:
                pass
        self.image = -1
        self.next_image()
        self.splitting = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.in_child)  # before all other hooks, which may draw a seed

    # The tapes

    def next_image(self):
        """Go on with the next part of the recording: at the start, and in the child of the fork that leads on."""
        self.image += 1
        image = self.images[self.image]
        self.tapes = [Tape(each) for each in image["threads"]]
        self.threads = {}  # number of a thread → (the thread, its tape)
        self.over = []  # tapes of threads that have ended
        self.pid, self.parent, self.fork = image["pid"], image["parent"], image["fork"]
        self.last = self.image == len(self.images) - 1
        self.now, self.since = image["begin"], monotonic_ns()

    def in_child(self):
        """In the child of the fork that leads on: from here on its own recording counts."""
        if self.splitting:
            self.splitting = False
            self.next_image()

    def tape(self):
        """The tape of the calling thread; None: the recording knows none like it."""
        thread, module = get_ident(), sys.modules.get("threading")
        known = getattr(module, "_active", {}).get(thread)
        found = self.threads.get(thread)
        if found is not None and (found[0] is None or found[0]() is known):  # numbers of threads are given out again
            if found[0] is None and known is not None:
                self.threads[thread] = ref(known), found[1]
            return found[1]
        main = known is getattr(module, "_main_thread", 0) if known is not None else not self.threads
        if known is None and not main:
            return None  # it has no name yet
        taken = [tape for _, tape in self.threads.values()] + self.over
        free = [each for each in self.tapes if each not in taken]
        if main:
            tape = next((each for each in free if each.main), None)
        else:
            name = known._name
            tape = next((each for each in free if each.name == name and not each.main), None)
            tape = tape or next((each for each in free if not each.main), None)
        if tape is None:  # the recording knows no such thread: whatever it asks for, nothing came back
            tape = Tape({"name": "", "main": main, "events": [], "openings": [], "said": {}})
        if found is not None:
            self.over.append(found[1])
        # not the thread itself: programs notice that it is gone (concurrent.futures does)
        self.threads[thread] = None if known is None else ref(known), tape
        return tape

    def mine(self):
        """The tape of the calling thread, if it has had one; None while the debugger is at work."""
        found = self.threads.get(get_ident())
        return None if found is None or self.paused else found[1]

    # In the place of the log's methods

    def enter(self, op, fd, channel, stream, offset, size, site, data=b"", flags=0, whole=False, thread=0):
        """A wrapped call begins: what it is must be what was recorded."""
        role = _ROLES.get(op)
        if op == _UNCAUGHT:
            self.tell("raised", bytes(data))
        if not thread and not self.paused:
            self.meet(op, role, fd, channel, size, data)
        ticket = self.log_enter(op, fd, channel, stream, offset, size, site, data, flags, whole, thread)
        tape = self.mine()
        if tape is not None:
            if op in _OPENING and tape.opening is not None:
                self.opened[ticket[2]] = tape.opening
            elif role == INSIDE and tape.current is not None:
                tape.inside.append((ticket[2], tape.current))
                tape.current = None
        return ticket

    def instant(self, op, channel, size, site, result=table.NONE):
        if not self.paused:
            self.meet(op, _ROLES.get(op), -1, channel, size, b"")
        return self.log_instant(op, channel, size, site, result)

    def leave(self, ticket, result=table.NONE, extra=table.NONE, pending=table.NONE):
        recorded = self.opened.pop(ticket[2], None)
        if recorded is not None and recorded.result is not None:
            self.stands(result, recorded.result)
            self.leads[recorded.result] = recorded.channel
        self.left(ticket[2])
        self.log_leave(ticket, result, extra, pending)

    def got(self, ticket, data, result, pending=table.NONE, extra=table.NONE):
        self.left(ticket[2])
        self.log_got(ticket, data, result, pending, extra)

    def fail(self, ticket, error, pending=table.NONE):
        self.opened.pop(ticket[2], None)
        self.left(ticket[2])
        self.log_fail(ticket, error, pending)

    def left(self, slot):
        tape = self.mine()
        if tape is not None and tape.inside and tape.inside[-1][0] == slot:
            tape.inside.pop()
        if tape is not None and tape.opening is not None and slot not in self.opened:
            tape.opening = None

    # The tape moves on

    def meet(self, op, role, fd, channel, size, data):
        tape = self.tape()
        if tape is None:
            return
        if op in _CHANCE:
            tape.drawing = _NAMES[op]
        if op in _OPENING:
            tape.opening = self.find_opening(tape, op, data)
            if tape.opening is not None and op in _PAIRS:
                self.stands(fd, tape.opening.fd)
        if role == SIGNAL:
            head = tape.head
            if head is not None and head.role == SIGNAL and head.size == size:
                tape.advance()
                self.progress(head)
            return
        self.signals(tape)
        head = tape.head
        if head is not None and head.exit is None and head.role is None and head.op == _NAMES[op]:
            self.finish(tape, head)
        if role is None or (fd >= 0 and self.own(channel)) or (op in _SHARED and not self.is_next(op, head)):
            return
        self.turn(tape, head)
        if role == READY and (head is None or head.role != READY):
            return  # an event loop looks once more: ready_ends infers what there was
        event = self.compare(tape, op, role, self.alias.get(fd, fd), size, bytes(data) if data else b"")
        if role in (TEXT,) or event is tape.peeked:
            tape.peeked = None
            tape.current = None
        else:
            tape.current = event
        self.stop_at(event, role)

    @staticmethod
    def is_next(op, head):
        """Calls that are answered now and then only: a line from a terminal, a barrier between processes."""
        return head is not None and head.op == _NAMES[op]

    def compare(self, tape, op, role, fd, size, data):
        """The recorded call that this one is; departs from the recording where there is none."""
        name, head = _NAMES[op], tape.head
        if head is None or not self.alike(head, name, role, fd, size):
            self.depart(tape, head, name, role, fd, data, size)
        if role in (TEXT, OUT):
            return self.compare_bytes(tape, name, role, fd, data)
        if role == IN:
            return self.part(tape, head, size)
        tape.advance()
        self.progress(head)
        if head.fd is not None and head.channel is not None:
            self.leads[head.fd] = head.channel
        if role in (MADE, SENT):
            self.tell("did", head.event)
        return head

    @staticmethod
    def alike(head, name, role, fd, size):
        if head.role != role:
            return False
        if role in (TEXT, OUT, IN):
            return head.fd is None or head.fd == fd
        if role == READY:
            return True
        same = head.op == name and (head.fd is None or fd < 0 or head.fd == fd)
        if name in _BY_SIZE and head.size is not None and size != table.NONE:
            return same and head.size == size
        return same

    def compare_bytes(self, tape, name, role, fd, data):
        """Bytes as a run: the recorded ones may have gone in other portions."""
        begin, first, done = 0, tape.head, []
        while True:
            head = tape.head
            if head is None or head.role != role or (head.fd is not None and head.fd != fd):
                self.depart(tape, head, name, role, fd, data, len(data), begin)
            rest, given = head.data[tape.used :], data[begin:]
            common = min(len(rest), len(given))
            if rest[:common] != given[:common]:
                self.depart(tape, head, name, role, fd, data, len(data), begin)
            if len(given) < len(rest):
                tape.used += len(given)
                break
            tape.advance()
            done.append(head.event)
            self.progress(head)
            begin += common
            if begin >= len(data):
                break
        if role == OUT:
            self.tell("out", first.event, fd, data, done)
        whole = first is head and len(first.data) == len(data)
        tape.portion = None if whole else (0, 0)
        return first

    def part(self, tape, head, size):
        """Bytes that came, as many as are asked for: the rest comes next time."""
        begin, left = tape.used, len(head.data) - tape.used
        if head.error or size == table.NONE or size < 0 or left <= size:
            tape.portion = (begin, len(head.data))
            tape.advance()
            self.progress(head)
        else:
            tape.portion = (begin, begin + size)
            tape.used += size
        self.tell("in", head.event, head.fd if head.fd is not None else -1, head.data[slice(*tape.portion)])
        return head

    def progress(self, event):
        """The clock is where it was as this call came back."""
        self.moved = monotonic_ns()
        if event.exit is not None:
            if self.timing:
                wait = event.exit - self.clock()
                if wait > 0 and event.role not in (TEXT,):
                    sleep(wait / 1e9)
            self.now, self.since = max(event.exit, self.clock()), monotonic_ns()

    def clock(self):
        """Now, in ns since the recording began: the recorded time, and what has gone by since its last call."""
        return self.now + monotonic_ns() - self.since

    def turn(self, tape, head):
        """Wait until the other threads have done what they had done by then, and wait where they waited; not for ever,
        should they do otherwise."""
        if head is None or head.exit is None or len(self.tapes) < 2:
            return
        tape.arrived = tape.at
        self.moved = monotonic_ns()
        while monotonic_ns() - self.moved < STILL:
            if not any(other is not tape and other.before(head) for other in self.tapes):
                return
            sleep(0.0003)

    def signals(self, tape, during=None):
        """Raise the signals that came here: before the next call, or while `during` waited."""
        while tape.head is not None and tape.head.role == SIGNAL and tape.main:
            head = tape.head
            if during is None and any(each.exit is None or head.enter < each.exit for each in tape.answering):
                return  # it is for the call within which we are in a handler
            if during is not None and during.exit is not None and head.enter > during.exit:
                return
            if not callable(sys.modules["_signal"].getsignal(head.size)):
                self.depart(tape, head, "", SIGNAL, -1, b"", head.size)
            _kill(_getpid(), head.size)
            for _ in range(2000):  # the interpreter runs the handler when it next looks
                if tape.head is not head:
                    break
                sleep(0)
            else:
                tape.advance()

    def answer(self):
        """(event, bytes) for a call of the system that has just been met; (None, b""): make it. Of what goes out, bytes
        are None where it went out in other portions."""
        tape = self.mine()
        event = tape.current if tape is not None else None
        if event is None:
            return None, b""
        tape.current = None
        portion, tape.portion = tape.portion, None
        tape.answering.append(event)
        try:
            self.signals(tape, event)
        finally:
            tape.answering.pop()
        if event.role == WHOLE and event.exit is not None:
            while tape.head is not None and tape.head.enter < event.exit:  # the locks within
                tape.advance()
        if event.exit is None and event.role != SENT:
            self.finish(tape, event)
        if event.role == OUT and portion is not None:
            return event, None
        event.check()
        return event, event.data if portion is None else event.data[slice(*portion)]

    def infer(self, wanted, timeout):
        """What a thread is told that looks what is ready where the recording has no look: an end of `wanted` (recorded
        descriptors) that it reads or writes next; after `timeout` seconds, nothing."""
        tape = self.tape()
        if tape is None or self.paused:
            return None
        self.signals(tape)
        ahead = tape.at + 1  # who only looks goes on without: then it must be the very next
        if timeout != 0:
            self.turn(tape, tape.head)
            ahead = len(tape.events)
        for event in tape.events[tape.at : ahead]:
            if event.role == READY:
                break
            if event.fd in wanted and event.role != TEXT:
                return event
        tape.looks += 1
        if tape.looks > _MOST_LOOKS or (timeout is None and (tape.head is None or tape.head.role != READY)):
            if tape.head is not None and tape.head.exit is None:
                self.finish(tape, tape.head)
            self.depart(tape, tape.head, "select", READY, -1, b"", table.NONE)
        self.wait(timeout or 0)
        return None

    def wait(self, seconds):
        """A wait of the program's is over."""
        if self.timing:
            sleep(seconds)
        else:
            self.now += int(seconds * 1e9)

    def peek(self, *names):
        """The next recorded call of this thread, if it is one of these. A call that is recorded only after it was made
        is answered before it is met: then it is to be the tape's `peeked`."""
        tape = self.tape()
        if tape is None or self.paused:
            return None
        self.signals(tape)
        head = tape.head
        if head is None or head.op not in names or head.exit is None:
            return None
        return head

    def took(self, event):
        """A call has been answered before it is met."""
        self.mine().peeked = event

    def comes(self, name):
        """Whether this is what the thread does next."""
        tape = self.mine()
        return tape is not None and tape.head is not None and tape.head.op == name

    def inside(self):
        """Whether a lock was got within a call that rests on it; None: there is no such call."""
        tape = self.mine()
        if tape is None or not tape.inside:
            return None
        event, head = tape.inside[-1][1], tape.head
        return not event.error or (head is not None and event.exit is not None and head.enter < event.exit)

    def said(self, op):
        """What a clock, or chance, told this thread next; None: there is no more, or it isn't to be told again."""
        tape = self.tape() if self.script["time"] and not self.paused else None
        return None if tape is None else next(tape.said.get(op, iter(())), None)

    def drawing(self):
        """Who asks for random bytes just now."""
        tape = self.mine()
        return "os.urandom" if tape is None else tape.drawing


_CHANCE = {table.CODE[name] for name in ("os.urandom", "random.seed")}
_PAIRS = {table.CODE[name] for name in ("os.pipe", "os.pipe2", "os.openpty", "socket.socketpair")}
_SHARED = {table.CODE["input"], table.CODE["Barrier.wait"]}
_BY_SIZE = ("os.kill", "os.killpg", "os.waitpid", "os.wait4", "os._exit", "socket.shutdown")


def begin(runtime, folder):
    """Play: before anything is wrapped. Returns the patches that come before the recorder's own, by module.

    A program that isn't played must not run: it would do in earnest what it did then. So it ends where that fails.
    """
    player = Player(runtime, folder)
    try:
        for name in ("enter", "instant", "leave", "got", "fail"):
            setattr(player, "log_" + name, getattr(runtime.log, name))
            setattr(runtime.log, name, getattr(player, name))
        patches = player_system.replace(player)
        if player.script["pdb"]:
            player_debug.at_start(player)
    except Exception as error:
        player.fall(error)
    player.tell("began")
    return {name: [player.surely(patch) for patch in each] for name, each in patches.items()}
