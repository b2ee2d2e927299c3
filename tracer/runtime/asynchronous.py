"""asyncio: which task waits for what, on a line of its own.

Laws
----
1. A task is known by a weak reference and has a number for good, from table.TASKS on. Nothing is added to it that the
   program could see: no callback, no factory, no class of ours.
2. The coroutine functions of _WAITS are replaced by coroutine functions that record them (coroutines.py). What else a
   task waits for (another task, gather, a bare future) is read off it just before its loop waits: `Tasks.settle`.
3. Whether a task is done is looked up then, too; only those are looked at that ran meanwhile.
4. What the loop itself does stays with the thread that runs it.
"""

from __future__ import annotations

import sys
from _weakref import ref
from sys import _getframe

from . import table
from .calls import first, like
from .coroutines import replacement
from .log import ours_raised
from .objects import Identity
from .threads import nanoseconds

_NONE, _TIMED, _NONBLOCKING = table.NONE, table.TIMED, table.NONBLOCKING
_TASK, _JOIN, _FUTURE = table.CODE["task"], table.CODE["await tasks"], table.CODE["asyncio.Future"]
_OLD = sys.version_info < (3, 10)  # there the constructors warn of an argument, by the frame that called them


class Agent(ref):
    """A task: `number`, where it was made, its record, what it waits for, and what ends its waits by time."""

    __slots__ = ("depth", "epoch", "key", "limits", "number", "quiet", "site", "state", "ticket", "wait")


class Loop(ref):
    """An event loop: `restless` are its tasks that may have ended or begun to wait without our noticing; `found` those
    whose wait was read off them. Both: id of the task → Agent. `late` are tasks that are to be introduced again."""

    __slots__ = ("found", "key", "late", "restless")


class Tasks:
    """The tasks of this process."""

    def __init__(self, runtime):
        self.runtime, self.log, self.sites = runtime, runtime.log, runtime.sites
        self.agents, self.loops = {}, {}
        self.count = table.TASKS - 1
        self.running_loop = self.current_task = self.base = self.task = None

    def loop(self, loop):
        """What is known of an event loop."""
        state = self.loops.get(id(loop))
        if state is None or state() is not loop:
            state = Loop(loop, self._loop_gone)
            state.key, state.restless, state.found, state.late = id(loop), {}, {}, []
            self.loops[state.key] = state
        return state

    def _loop_gone(self, state):
        if self.loops.get(state.key) is state:
            self.loops.pop(state.key, None)

    def meet(self, task, loop, site):
        """The agent of a task that wasn't known; `site` as Sites.at takes it."""
        agent = Agent(task, self._task_gone)
        self.count += 1
        agent.key, agent.number, agent.site, agent.state = id(task), self.count, site, self.loop(loop)
        agent.depth, agent.epoch, agent.ticket, agent.wait, agent.limits = 0, 0, None, None, []
        agent.quiet = self._internal(task.get_coro())
        self.agents[agent.key] = agent
        agent.state.restless[agent.key] = agent
        return agent

    def _internal(self, coroutine):
        """Whether a task is one of asyncio's own errands, as for each connection that a server accepts: nothing is said
        of it unless it makes a recorded call itself."""
        code = getattr(coroutine, "cr_code", None)
        return code is not None and code.co_name.startswith(("_", "shutdown_")) and not self._own(code)

    def _task_gone(self, agent):
        """A task has been freed: without having been seen to end where its loop isn't asyncio's own."""
        if self.agents.get(agent.key) is agent:
            self.agents.pop(agent.key, None)
        for known in (agent.state.restless, agent.state.found):
            if known.get(agent.key) is agent:
                known.pop(agent.key, None)
        self.finish(agent)

    def define(self, agent):
        """Introduce a task in this log, and begin its record."""
        site = self.introduce(agent)
        agent.epoch, agent.wait = self.runtime.objects.epoch, None
        agent.ticket = self.log.enter(_TASK, -1, 0, 0, 0, _NONE, site, thread=agent.number)

    def introduce(self, agent):
        """Define a task by the name that it has got by now. It isn't done: CPython 3.12.1 crashes when a task that
        was eager, and is done, is asked for its coroutine."""
        task = agent()
        coroutine = task.get_coro()
        name = getattr(coroutine, "__qualname__", None) or type(coroutine).__name__
        site = self.sites.at(*agent.site) if agent.site else 0
        self.log.define(table.TASK, task.get_name(), name, size=agent.number, site=site)
        return site

    def current(self):
        """The agent of the task that runs; None outside of any."""
        loop = self.running_loop()
        if loop is None:
            return None
        task = self.current_task(loop)
        if task is None:
            return None
        agent = self.agents.get(id(task))
        if agent is None or agent() is not task:
            agent = self.meet(task, loop, self.definition(task))
        if agent.epoch != self.runtime.objects.epoch:
            self.define(agent)
        elif agent.wait is not None:  # somebody woke it past its loop
            self.woken(agent)
        return agent

    def finish(self, agent):
        """A task is done."""
        for ticket in (agent.wait, agent.ticket):
            if ticket is not None and agent.epoch == self.runtime.objects.epoch:
                self.log.leave(ticket)
        agent.wait = agent.ticket = None

    def settle(self, state):
        """Before the loop waits: which of its tasks have ended, and what do the others wait for?"""
        restless, late = state.restless, state.late
        while late:
            agent = late.pop()
            task = agent()
            if task is not None and not task.done() and agent.epoch == self.runtime.objects.epoch:
                self.introduce(agent)
        for key, agent in list(restless.items()):
            try:
                task = agent()
                if task is None or task.done():
                    restless.pop(key, None)
                    self.finish(agent)
                    continue
                if agent.epoch != self.runtime.objects.epoch:
                    if agent.quiet:
                        continue
                    self.define(agent)
                waiter = task._fut_waiter
                if waiter is not None and not waiter.done():
                    restless.pop(key, None)
                    self.found(agent, task, waiter)
                    state.found[key] = agent
            except BaseException as error:  # not a task as we know them
                if not ours_raised(error):
                    raise
                restless.pop(key, None)

    def resume(self, state, ready):
        """Before the loop goes on: the tasks that it is about to wake wait no longer."""
        found = state.found
        for handle in list(ready):
            task = getattr(getattr(handle, "_callback", None), "__self__", None)
            agent = found.get(id(task))
            if agent is not None and agent() is task:
                self.woken(agent)

    def woken(self, agent):
        """A task whose wait was read off it goes on."""
        ticket, agent.wait = agent.wait, None
        agent.state.found.pop(agent.key, None)
        agent.state.restless[agent.key] = agent
        if ticket is not None and agent.epoch == self.runtime.objects.epoch:
            self.log.leave(ticket)

    def found(self, agent, task, waiter):
        """Record what a suspended task waits for: other tasks, or a future."""
        site, helper = self._suspended(task)
        others, timed = _awaited(waiter, helper)
        number = 0
        for other in others:
            known = self.agents.get(id(other))
            if known is not None and known() is other and not other.done():
                if known.epoch != self.runtime.objects.epoch:
                    if known.quiet:
                        continue
                    self.define(known)
                number = known.number
                break
        flags = _TIMED if timed or (agent.limits and self.limited(agent)) else 0
        # a future without a task behind it: who will set it can't be seen
        op, size = (_JOIN, number) if number else (_FUTURE, _NONE)
        place = self.sites.at(*(site or agent.site)) if site or agent.site else 0
        agent.wait = self.log.enter(op, -1, 0, 0, 0, size, place, flags=flags, thread=agent.number)

    def _suspended(self, task):
        """Where in the program a suspended task waits, and the frame of asyncio's helper that it waits in."""
        coroutine, site, helper = task.get_coro(), (), None
        codes = self.sites.codes
        while coroutine is not None:
            frame = getattr(coroutine, "cr_frame", None)
            if frame is not None:
                following = coroutine.cr_await
            else:
                frame, following = _generator(coroutine)
                if frame is None:
                    break
            code = frame.f_code
            known = codes.get(id(code))
            if known is None:
                known = self.sites._learn(code)
            if type(known) is dict:
                site, helper = (code, frame.f_lasti, frame.f_lineno), None
            elif helper is None and code.co_name in _HELPERS:
                helper = frame
            coroutine = following
        return site, helper

    def _own(self, code):
        known = self.sites.codes.get(id(code))
        if known is None:
            known = self.sites._learn(code)
        return type(known) is dict

    def mark(self, frame):
        """The innermost frame of the program in the running task, as Sites.at takes it; () where all are asyncio's."""
        while frame is not None and frame.f_code is not self.base:
            if self._own(frame.f_code):
                return frame.f_code, frame.f_lasti, frame.f_lineno
            frame = frame.f_back
        return ()

    def here(self, agent, depth):
        """The site of the program's await that led here, `depth` frames out at least; where the task is nothing but a
        call of asyncio's own, as in create_task(queue.get()), that of its making."""
        frame, sites, base = _getframe(depth), self.sites, self.base
        codes = sites.codes
        while frame is not None:
            code = frame.f_code
            known = codes.get(id(code))
            if known is None:
                known = sites._learn(code)
            if type(known) is dict:
                site = known.get(frame.f_lasti)
                if site is None:
                    site = known[frame.f_lasti] = sites._define(code, frame.f_lasti, frame.f_lineno)
                return site
            if code is base:
                break
            frame = frame.f_back
        return sites.at(*agent.site) if agent.site else 0

    def definition(self, task):
        """Where a task's coroutine function stands, as Sites.at takes it: for a task that asyncio made by itself."""
        coroutine = task.get_coro()
        for name in ("cr_code", "gi_code", "ag_code"):
            code = getattr(coroutine, name, None)
            if code is not None and self._own(code):
                return code, -1, code.co_firstlineno
        return ()

    def limited(self, agent):
        """Whether a time will end what the task waits for: it is within asyncio.timeout()."""
        live = [limit for limit in agent.limits if getattr(limit(), "_timeout_handler", None) is not None]
        agent.limits[:] = live
        return bool(live)

    def limits(self, timeout):
        """A time-out has been set for the task that is within it."""
        task = timeout._task
        agent = self.current()
        if agent is not None and agent() is task and all(limit() is not timeout for limit in agent.limits):
            agent.limits.append(ref(timeout))

    def wait(self, op, fd=-1, channel=0, size=_NONE, offset=0, flags=0, nested=False):
        """Record that the task that runs begins a call: (agent, ticket); None outside of any task, or within a recorded
        call, of which it is a part (unless `nested`)."""
        agent = self.current()
        if agent is None or (agent.depth and not nested):
            return None
        if agent.limits and self.limited(agent):
            flags |= _TIMED
        # the coroutine function that was called lies four frames out: see _wrap_waits
        ticket = self.log.enter(op, fd, channel, 0, offset, size, self.here(agent, 5), flags=flags, thread=agent.number)
        agent.depth += 1
        agent.state.restless.pop(agent.key, None)
        return agent, ticket

    def over(self, wait):
        """A recorded call of a task is over; the record itself is completed by whoever calls."""
        agent = wait[0]
        agent.depth -= 1
        if not agent.depth:
            agent.state.restless[agent.key] = agent

    def note(self, op, channel=0, size=_NONE, flags=0, fd=-1, data=b""):
        """Record a call that doesn't wait, as it begins: on the task's line, or on the thread's outside of any task."""
        agent = self.current()
        site, thread = (self.sites.here(), 0) if agent is None else (self.here(agent, 3), agent.number)
        return self.log.enter(op, fd, channel, 0, 0, size, site, data, flags, thread=thread)

    def inside(self):
        """Whether the running task is within a recorded call."""
        loop = self.running_loop()
        task = None if loop is None else self.current_task(loop)
        agent = None if task is None else self.agents.get(id(task))
        return agent is not None and agent.depth > 0


def _generator(generator):
    """The frame of a suspended generator or asynchronous generator, and what it awaits."""
    for frame, awaited in (("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await")):
        if getattr(generator, frame, None) is not None:
            return getattr(generator, frame), getattr(generator, awaited, None)
    return None, None


# asyncio's own functions in which a task waits for others: name → what they are, from its variables.
_HELPERS = {
    "_wait": lambda own: own.get("fs") or (),
    "wait_for": lambda own: [own.get("fut")],
    "__aexit__": lambda own: list(getattr(own.get("self"), "_tasks", None) or ()),
    "_aexit": lambda own: list(getattr(own.get("self"), "_tasks", None) or ()),
}


def _awaited(waiter, helper):
    """The tasks that a future stands for, and whether the wait ends by time.

    The variables are read of asyncio's frames only: reading a frame's keeps them alive as long as the frame itself.
    """
    others, timed = [waiter], False
    if helper is not None:
        own = helper.f_locals
        others, timed = [*_HELPERS[helper.f_code.co_name](own), waiter], own.get("timeout") is not None
    for other in others:  # grows meanwhile
        others += getattr(other, "_children", None) or ()  # gather's
        for entry in getattr(other, "_callbacks", None) or ():
            callback = entry[0] if isinstance(entry, tuple) else entry
            code = getattr(callback, "__code__", None)
            if code is not None and code.co_name == "_outer_done_callback":  # shield's
                others.append(callback.__closure__[code.co_freevars.index("inner")].cell_contents)
    return others, timed


# What the coroutine functions record: begin(tasks, op, args, kwargs) → (agent, ticket) or None; end(tasks, ticket,
# args, result).


def _sleep(tasks, op, args, kwargs):
    delay = first(args, kwargs, "delay")
    return tasks.wait(op, size=nanoseconds(delay)) if delay > 0 else None  # sleep(0) only lets others run


def _place(tasks, stream):
    """Descriptor and channel of a StreamReader or StreamWriter: asked once, for the number may be another's later."""
    known = stream.__dict__.get("_ipctrace")
    if known is not None and known[0] == tasks.runtime.objects.epoch:
        return known
    transport = getattr(stream, "_transport", None)
    if transport is None:
        return 0, -1, 0
    end = transport.get_extra_info("pipe") or transport.get_extra_info("socket")
    try:
        fd = end.fileno()
    except (AttributeError, ValueError, OSError):
        return 0, -1, 0
    if not isinstance(fd, int) or fd < 0:
        return 0, -1, 0
    known = stream.__dict__["_ipctrace"] = tasks.runtime.objects.epoch, fd, tasks.runtime.descriptors.channel_of(fd)
    return known


def _take(tasks, op, args, kwargs):
    _, fd, channel = _place(tasks, args[0])
    return tasks.wait(op, fd, channel)


def _take_some(tasks, op, args, kwargs):
    _, fd, channel = _place(tasks, args[0])
    size = first(args[1:], kwargs, "n", -1)
    return tasks.wait(op, fd, channel, size if isinstance(size, int) and size >= 0 else _NONE)


def _taken(tasks, ticket, args, data):
    tasks.log.got(ticket, data, len(data))


def _drain(tasks, op, args, kwargs):
    writer = args[0]
    _, fd, channel = _place(tasks, writer)
    return tasks.wait(op, fd, channel, flags=0 if getattr(writer._protocol, "_paused", True) else _NONBLOCKING)


def _pending(writer):
    try:
        size = writer._transport.get_write_buffer_size()
    except (AttributeError, NotImplementedError):
        return _NONE
    return size if isinstance(size, int) else _NONE


def _drained(tasks, ticket, args, result):
    tasks.log.leave(ticket, pending=_pending(args[0]))


def _channel(tasks, thing, kind, capacity=_NONE):
    """The channel of a lock, event or queue: it is identified as it is made, or here."""
    identity = thing.__dict__.get("_ipctrace")
    if identity is not None and identity.epoch == tasks.runtime.objects.epoch:
        return identity.number
    if identity is None:
        identity = thing.__dict__["_ipctrace"] = Identity(
            tasks.runtime.objects, kind, tasks.mark(_getframe(1)), capacity
        )
    return tasks.runtime.objects.number(identity)


def _lock_acquire(tasks, op, args, kwargs):
    lock = args[0]
    if not lock._locked and not lock._waiters:
        return None
    owner = lock.__dict__.get("_ipctrace_owner", 0)
    return tasks.wait(op, channel=_channel(tasks, lock, "lock"), offset=owner, nested=True)


def _lock_acquired(tasks, args):
    agent = tasks.current()
    args[0].__dict__["_ipctrace_owner"] = 0 if agent is None else agent.number


def _semaphore_acquire(tasks, op, args, kwargs):
    semaphore = args[0]
    if not semaphore.locked():
        return None
    return tasks.wait(op, channel=_channel(tasks, semaphore, "semaphore"), nested=True)


def _event_wait(tasks, op, args, kwargs):
    if args[0]._value or tasks.inside():  # a part of Queue.join
        return None
    return tasks.wait(op, channel=_channel(tasks, args[0], "event"))


def _condition_wait(tasks, op, args, kwargs):
    return tasks.wait(op, channel=_channel(tasks, args[0], "condition"))


def _queue(tasks, queue):
    identity = queue.__dict__.get("_ipctrace")
    if identity is not None and identity.epoch == tasks.runtime.objects.epoch:
        return identity.number
    size = queue.__dict__.get("_maxsize")
    return _channel(tasks, queue, "queue", size if isinstance(size, int) and size > 0 else _NONE)


def _queue_wait(tasks, op, args, kwargs):
    return tasks.wait(op, channel=_queue(tasks, args[0]))


def _queue_join(tasks, op, args, kwargs):
    return tasks.wait(op, channel=_queue(tasks, args[0])) if args[0]._unfinished_tasks > 0 else None


def _process_wait(tasks, op, args, kwargs):
    return tasks.wait(op, size=args[0].pid) if args[0].returncode is None else None


def _process_communicate(tasks, op, args, kwargs):
    return tasks.wait(op, size=args[0].pid)


def _process_ended(tasks, ticket, args, result):
    process, status = args[0], args[0].returncode
    raw = _NONE if status is None else -status if status < 0 else status << 8  # as waitpid has it
    tasks.log.leave(ticket, _NONE if status is None else process.pid, raw)


def _connect(tasks, op, args, kwargs):
    host, port = (first(args[at:], kwargs, name, "") for at, name in enumerate(("host", "port")))
    return _to(tasks, tasks.wait(op), "%s:%s" % (host, port) if host else "")


def _connect_unix(tasks, op, args, kwargs):
    path = first(args, kwargs, "path", "")
    return _to(tasks, tasks.wait(op), path if isinstance(path, str) else "")


def _to(tasks, wait, address):
    if wait is not None and address:
        tasks.log.address(wait[1], tasks.runtime.addresses.number(address))
    return wait


def _connected(tasks, ticket, args, result):
    fd = _place(tasks, result[1])[1]
    tasks.log.leave(ticket, _NONE if fd < 0 else fd)


# module → class ("" for the module's own) → coroutine function: op, begin, end, and which of its awaits it sits in
_WAITS = {
    "asyncio.tasks": {"": {"sleep": ("asyncio.sleep", _sleep, None, -1)}},
    "asyncio.streams": {
        "": {
            "open_connection": ("asyncio.open_connection", _connect, _connected, -1),
            "open_unix_connection": ("asyncio.open_connection", _connect_unix, _connected, -1),
        },
        "StreamReader": {
            "read": ("StreamReader.read", _take_some, _taken, -1),
            "readline": ("StreamReader.readline", _take, _taken, -1),
            "readexactly": ("StreamReader.readexactly", _take_some, _taken, -1),
            "readuntil": ("StreamReader.readuntil", _take, _taken, -1),
        },
        "StreamWriter": {"drain": ("StreamWriter.drain", _drain, _drained, -1)},
    },
    "asyncio.locks": {
        "Lock": {"acquire": ("asyncio.Lock.acquire", _lock_acquire, None, -1)},
        "Event": {"wait": ("asyncio.Event.wait", _event_wait, None, -1)},
        "Condition": {"wait": ("asyncio.Condition.wait", _condition_wait, None, 0)},
        "Semaphore": {"acquire": ("asyncio.Semaphore.acquire", _semaphore_acquire, None, -1)},
    },
    "asyncio.queues": {
        "Queue": {
            "put": ("asyncio.Queue.put", _queue_wait, None, -1),
            "get": ("asyncio.Queue.get", _queue_wait, None, -1),
            "join": ("asyncio.Queue.join", _queue_join, None, -1),
        },
    },
    "asyncio.subprocess": {
        "Process": {
            "wait": ("asyncio.Process.wait", _process_wait, _process_ended, -1),
            "communicate": ("asyncio.Process.communicate", _process_communicate, _process_ended, 0),
        },
    },
}  # fmt: skip


def _warn_of_loop(name, args, kwargs):
    """The warning of an argument, which would blame its caller: us. The loop that runs is the only one it can be."""
    if name == "sleep" and args[0] <= 0 and sys.version_info < (3, 9):
        return
    del kwargs["loop"]
    sys.modules["warnings"].warn(
        "The loop argument is deprecated since Python 3.8, and scheduled for removal in Python 3.10.",
        DeprecationWarning,
        stacklevel=4,
    )


def _wrap_waits(runtime, module):
    tasks, log = runtime.tasks, runtime.log

    def around(original, op, begin, end, which, acquired):
        def enter(args, kwargs):
            if _OLD and kwargs.get("loop") is not None:
                _warn_of_loop(original.__name__, args, kwargs)
            try:
                return begin(tasks, op, args, kwargs)
            except BaseException as error:  # wrong arguments, or a stand-in of the program's: the original will see
                if not ours_raised(error):
                    raise
                return None

        def leave(wait, args, result):
            if wait is not None:
                tasks.over(wait)
                try:
                    if end is None:
                        log.leave(wait[1])
                    else:
                        end(tasks, wait[1], args, result)
                except BaseException as error:
                    if not ours_raised(error):
                        raise
                    log.leave(wait[1])
            if acquired is not None:
                acquired(tasks, args)

        def fail(wait, error):
            if wait is not None:
                tasks.over(wait)
                log.fail(wait[1], error)

        return replacement(original, enter, leave, fail, which)

    for owner, functions in _WAITS[module.__name__].items():
        target = getattr(module, owner, None) if owner else module
        for name, (op, begin, end, which) in functions.items():
            original = getattr(target, name, None)
            if original is not None:
                acquired = _lock_acquired if owner == "Lock" else None
                setattr(target, name, around(original, table.CODE[op], begin, end, which, acquired))


def _wrap_tasks(runtime, module):
    tasks = runtime.tasks
    tasks.running_loop, tasks.current_task = module.events._get_running_loop, module.current_task
    if hasattr(module.current_task, "__code__"):  # which looks it up there; a third of the time
        tasks.current_task = module._current_tasks.get
    tasks.base = module.events.Handle._run.__code__
    _wrap_waits(runtime, module)


def _wrap_loop(runtime, module):
    """BaseEventLoop.create_task: where a task was made; run_in_executor."""
    tasks, loop = runtime.tasks, module.BaseEventLoop
    create, submit = loop.create_task, loop.run_in_executor

    def create_task(self, *args, **kwargs):
        task = create(self, *args, **kwargs)
        try:
            if task.done():  # an eager one, which has never waited
                return task
            agent = tasks.agents.get(id(task))
            if agent is None or agent() is not task:
                agent = tasks.meet(task, self, ())
            agent.site = tasks.mark(_getframe(1)) or tasks.definition(task)
            if agent.epoch:  # an eager one, which has waited before it has got its name
                agent.state.late.append(agent)
        except BaseException as error:  # a factory of the program's makes what it likes
            if not ours_raised(error):
                raise
        return task

    def run_in_executor(self, *args, **kwargs):
        ticket = tasks.note(table.CODE["loop.run_in_executor"])
        try:
            future = submit(self, *args, **kwargs)
        except BaseException as error:
            runtime.log.fail(ticket, error)
            raise
        runtime.log.leave(ticket)
        return future

    loop.create_task, loop.run_in_executor = like(create, create_task), like(submit, run_in_executor)


def _wrap_selectors(runtime, module):
    """The selectors: an event loop's wait is the moment at which all of its tasks can be looked at.

    Not BaseEventLoop._run_once, under which the program's own code runs: our frame would lie in all of its stacks.
    """
    tasks = runtime.tasks
    running_loop = tasks.running_loop

    def around(original):
        def select(self, *args, **kwargs):
            loop = running_loop()
            state = None if loop is None else tasks.loops.get(id(loop))
            if state is None or state() is not loop or getattr(loop, "_selector", None) is not self:
                return original(self, *args, **kwargs)
            if state.restless or state.late:
                tasks.settle(state)
            events = original(self, *args, **kwargs)
            if state.found:
                tasks.resume(state, getattr(loop, "_ready", ()))
            return events

        return like(original, select)

    for known in list(vars(module.selectors).values()):
        if isinstance(known, type) and "select" in known.__dict__ and not known.__dict__.get("__abstractmethods__"):
            known.select = around(known.select)


def _wrap_streams(runtime, module):
    """StreamWriter.write and writelines: bytes that the transport may keep."""
    _wrap_waits(runtime, module)
    tasks, log, op = runtime.tasks, runtime.log, table.CODE["StreamWriter.write"]
    writer = module.StreamWriter
    write, writelines = writer.write, writer.writelines

    def recorded(self, original, data, size, arguments):
        _, fd, channel = _place(tasks, self)
        ticket = tasks.note(op, channel, size, fd=fd, data=data)
        try:
            original(self, *arguments)
        except BaseException as error:
            log.fail(ticket, error)
            raise
        log.leave(ticket, pending=_pending(self))

    def write_(self, data):
        try:
            size = len(data) if type(data) is bytes else memoryview(data).nbytes
        except TypeError:
            return write(self, data)
        return recorded(self, write, data, size, (data,))

    def writelines_(self, data):
        try:
            if not isinstance(data, (list, tuple)):
                data = list(data)  # an iterator can be used up only once
            joined = b"".join(data)
        except TypeError:
            return writelines(self, data)
        return recorded(self, writelines, joined, len(joined), (data,))

    writer.write, writer.writelines = like(write, write_), like(writelines, writelines_)


def _note(runtime, owner, name, op, begin):
    """Record a plain method; `begin(self, args, kwargs)` gives (channel, size), or None where it tells nothing.

    Not by calls.method: `Tasks.note` counts the frames between the program's call and itself.
    """
    tasks, log, original = runtime.tasks, runtime.log, getattr(owner, name)

    def recorded(self, *args, **kwargs):
        try:
            said = begin(self, args, kwargs)
        except (AttributeError, TypeError):
            said = None
        if said is None:
            return original(self, *args, **kwargs)
        ticket = tasks.note(op, *said)
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            log.fail(ticket, error)
            raise
        log.leave(ticket)
        return result

    setattr(owner, name, like(original, recorded))


def _made(runtime, owner, kind):
    """Remember where a lock, event or queue was made."""
    if _OLD:
        return
    tasks, original = runtime.tasks, owner.__init__

    def __init__(self, *args, **kwargs):
        original(self, *args, **kwargs)
        size = self.__dict__.get("_maxsize", self.__dict__.get("_value"))
        capacity = size if type(size) is int and size > 0 else _NONE
        self.__dict__["_ipctrace"] = Identity(runtime.objects, kind, tasks.mark(_getframe(1)), capacity)

    owner.__init__ = like(original, __init__)


def _wrap_locks(runtime, module):
    """Locks, events, conditions, semaphores: what wakes the tasks that wait."""
    _wrap_waits(runtime, module)
    tasks = runtime.tasks
    for name in ("Lock", "Event", "Condition", "Semaphore"):
        _made(runtime, getattr(module, name), name.lower())

    def release(lock, args, kwargs):
        lock.__dict__["_ipctrace_owner"] = 0
        return (_channel(tasks, lock, "lock"),) if lock._waiters else None

    def notify(condition, args, kwargs):
        return _channel(tasks, condition, "condition"), first(args, kwargs, "n", 1)

    def set_(event, args, kwargs):
        if event._value or _getframe(2).f_globals.get("__name__") == "asyncio.queues":  # the event within a queue
            return None
        return (_channel(tasks, event, "event"),)

    def give(semaphore, args, kwargs):
        return (_channel(tasks, semaphore, "semaphore"),) if semaphore._waiters else None

    _note(runtime, module.Lock, "release", table.CODE["asyncio.Lock.release"], release)
    _note(runtime, module.Condition, "notify", table.CODE["asyncio.Condition.notify"], notify)
    _note(runtime, module.Event, "set", table.CODE["asyncio.Event.set"], set_)
    _note(runtime, module.Semaphore, "release", table.CODE["asyncio.Semaphore.release"], give)


def _wrap_queues(runtime, module):
    """Queues: put_nowait and get_nowait by themselves; put and get call them, too."""
    _wrap_waits(runtime, module)
    tasks, log, queue = runtime.tasks, runtime.log, module.Queue
    _made(runtime, queue, "queue")

    def around(name, op, caller):
        original = getattr(queue, name)
        caller = caller.__wrapped__.__code__  # put, get

        def recorded(self, *args, **kwargs):
            result = original(self, *args, **kwargs)  # one that is full or empty tells nothing: programs ask in a loop
            if _getframe(1).f_code is not caller and not tasks.inside():
                log.leave(tasks.note(op, _queue(tasks, self), flags=_NONBLOCKING))
            return result

        setattr(queue, name, like(original, recorded))

    around("put_nowait", table.CODE["asyncio.Queue.put"], queue.put)
    around("get_nowait", table.CODE["asyncio.Queue.get"], queue.get)
    _note(
        runtime, queue, "task_done", table.CODE["asyncio.Queue.task_done"],
        lambda self, args, kwargs: (_queue(tasks, self),),
    )  # fmt: skip


def _wrap_timeouts(runtime, module):
    """asyncio.timeout: what a task waits for within it ends by time."""
    tasks, original = runtime.tasks, module.Timeout.reschedule

    def reschedule(self, *args, **kwargs):
        original(self, *args, **kwargs)
        tasks.limits(self)

    module.Timeout.reschedule = like(original, reschedule)


def wrap(runtime):
    """Nothing at once, but for the list of tasks."""
    runtime.tasks = Tasks(runtime)


PATCHES = {
    "asyncio.tasks": _wrap_tasks,
    "asyncio.base_events": _wrap_loop,
    "asyncio.selector_events": _wrap_selectors,
    "asyncio.streams": _wrap_streams,
    "asyncio.locks": _wrap_locks,
    "asyncio.queues": _wrap_queues,
    "asyncio.subprocess": _wrap_waits,
    "asyncio.timeouts": _wrap_timeouts,
}
