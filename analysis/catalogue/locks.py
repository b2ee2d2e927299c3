"""IPC1xx: the program can't go on, because of locks, lost threads and lost notifications."""

from __future__ import annotations

from .rule import Rule

RULES = (
    Rule(
        code="IPC111",
        name="lock-cycle",
        severity="error",
        summary="Locks are taken in opposite orders, and each holder waits for the other's.",
        explanation=(
            "It needs two locks and two threads or processes, and bad timing: most runs get through. threading "
            "locks, multiprocessing locks and file locks can all take part."
        ),
        example=(
            "import threading\n"
            "a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)\n"
            "def take(one, two):\n"
            "    with one:\n"
            "        both.wait()\n"
            "        with two: ...\n"
            "threading.Thread(target=take, args=(a, b)).start()\n"
            "take(b, a)"
        ),
        shown_by="holder and waiter of each lock; the lines of both acquisitions",
        remedy="take them in one order everywhere, or take both at once under a third",
        see_also=("IPC113", "IPC112"),
    ),
    Rule(
        code="IPC112",
        name="lock-self",
        severity="error",
        summary="A thread waits for a lock that it holds itself.",
        explanation=(
            "A Lock is not reentrant: a function that takes it and calls another that takes it waits for ever. A "
            "signal handler runs in the middle of the main thread and can do the same."
        ),
        example=(
            "import threading\nlock = threading.Lock()\ndef callback():\n    with lock: ...\nwith lock:\n    callback()"
        ),
        shown_by="holder and waiter are the same thread",
        remedy="RLock; or split the function into one that locks and one that doesn't; no locks in signal handlers",
        see_also=("IPC111", "IPC212"),
    ),
    Rule(
        code="IPC113",
        name="lock-and-channel",
        severity="error",
        summary="The knot mixes locks with channels or joins.",
        explanation=(
            "A thread holds a lock while it waits for bytes or for an end; who would send them, or end, waits for "
            "the lock."
        ),
        example=(
            "import threading\n"
            "lock = threading.Lock()\n"
            "def work():\n"
            "    with lock: ...\n"
            "thread = threading.Thread(target=work)\n"
            "with lock:\n"
            "    thread.start()\n"
            "    thread.join()                 # work needs the lock first"
        ),
        shown_by="both kinds of edge in the knot",
        remedy="release the lock before blocking I/O or a join",
        see_also=("IPC111", "IPC109"),
    ),
    Rule(
        code="IPC114",
        name="lock-owner-gone",
        severity="error",
        summary="The holder of a lock has ended with the lock held.",
        explanation=(
            "multiprocessing locks are counters in shared memory: nothing releases them when their holder is killed."
        ),
        example=(
            "import multiprocessing, os\n"
            'lock = multiprocessing.get_context("fork").Lock()\n'
            "if os.fork() == 0:\n"
            "    lock.acquire()\n"
            "    os._exit(1)                   # as if it had been killed\n"
            "os.wait()\n"
            "lock.acquire()"
        ),
        shown_by="the holder's end comes before the end of the wait",
        remedy=(
            "a lock that dies with its holder (fcntl.flock on a file), or a process that manages the lock; don't "
            "kill workers that may hold one"
        ),
        see_also=("IPC115", "IPC118"),
    ),
    Rule(
        code="IPC115",
        name="fork-inherited-lock",
        severity="error",
        summary="A fork copied a lock that was held by a thread which doesn't exist in the child.",
        explanation=(
            "Only the thread that forks lives on in the child. A lock that another thread held at that moment stays "
            "locked there for ever, those inside logging and buffered streams included."
        ),
        example=(
            "import os, threading, time\n"
            "lock = threading.Lock()\n"
            "def hold():\n"
            "    with lock: threading.Event().wait()\n"
            "threading.Thread(target=hold, daemon=True).start()\n"
            "time.sleep(0.1)\n"
            "if os.fork() == 0:\n"
            "    lock.acquire()                # nobody here can release it\n"
            "os.wait()"
        ),
        shown_by="the lock was held at the fork, by another thread",
        remedy="start processes with spawn or forkserver, or fork before the first thread is started",
        see_also=("IPC114", "IPC116"),
    ),
    Rule(
        code="IPC116",
        name="fork-lost-thread",
        severity="error",
        summary="The child of a fork waits for a thread that only the parent has.",
        explanation=(
            "Pools, queues' feeders and executors work with threads of their own; their objects come with the fork, "
            "their threads don't."
        ),
        example=(
            "pool = ThreadPoolExecutor()\n"
            "pool.submit(print).result()\n"
            "if os.fork() == 0:\n"
            "    pool.submit(print).result()   # no worker here"
        ),
        shown_by="the thread that is waited for is not in this process",
        remedy="make the pool in the child; spawn or forkserver in the place of fork",
        see_also=("IPC115", "IPC121"),
    ),
    Rule(
        code="IPC119",
        name="lost-wakeup",
        severity="error",
        summary="A wait began after its only notification, or waits for one that nobody is left to give.",
        explanation=(
            "A notification is not kept: who comes later has missed it. The same with a barrier that a party never "
            "reaches, task_done() that is never called, and a queue that was not empty a moment ago."
        ),
        example=("with condition:\n    condition.wait()              # and the notify was earlier"),
        shown_by="the notification comes before the wait; the parties that are missing",
        remedy="wait in a loop over a condition that is kept (wait_for); sigwait in the place of pause; a timeout",
        see_also=("IPC126",),
    ),
    Rule(
        code="IPC120",
        name="event-loop-blocked",
        severity="error",
        summary="An event loop's thread waits, synchronously, for something that only the loop can do.",
        explanation=(
            "run_coroutine_threadsafe(...).result() in the loop's own thread, or a blocking call in a coroutine, "
            "stops the loop that would bring the result."
        ),
        example=(
            "async def main():\n"
            "    loop = asyncio.get_running_loop()\n"
            "    asyncio.run_coroutine_threadsafe(work(), loop).result()"
        ),
        shown_by="the loop's thread in a knot with itself",
        remedy="await it; or call it from another thread (asyncio.to_thread)",
        see_also=("IPC121",),
    ),
    Rule(
        code="IPC121",
        name="executor-starvation",
        severity="error",
        summary="Every worker of a pool waits for a task that is queued behind it.",
        explanation=(
            "A task that submits another to its own pool and waits for it needs a second worker. When all workers do "
            "so, none is left."
        ),
        example=("pool = ThreadPoolExecutor(1)\npool.submit(lambda: pool.submit(print).result()).result()"),
        shown_by="all workers in result()",
        remedy="another pool for the inner tasks, or don't wait inside a task",
        see_also=("IPC116", "IPC120"),
    ),
    Rule(
        code="IPC123",
        name="stopped",
        severity="error",
        summary="A member of the chain is stopped by a signal.",
        explanation=(
            "SIGSTOP, Ctrl-Z, or a read from the terminal in the background (SIGTTIN) stop a process until somebody "
            "continues it."
        ),
        example=(
            "if os.fork() == 0:\n"
            "    os.kill(os.getpid(), signal.SIGSTOP)\n"
            '    os.write(w, b"answer")\n'
            "os.read(r, 10)                    # until somebody sends SIGCONT"
        ),
        shown_by="process state T, before ipctrace itself froze the program; who sent the signal, and where",
        remedy="continue it (fg, kill -CONT); no reads from the terminal in the background",
        see_also=("IPC126",),
    ),
    Rule(
        code="IPC124",
        name="file-lock-held",
        severity="error",
        summary="A file lock lives on in a descriptor that a child inherited.",
        explanation=(
            "A lock taken with flock belongs to the open file description, which fork and dup share: it is held "
            "until the last copy is closed or unlocks."
        ),
        example=(
            "import fcntl, os\n"
            "reader, writer = os.pipe()\n"
            'file = open("state", "w")\n'
            "fcntl.flock(file, fcntl.LOCK_EX)\n"
            "if os.fork() == 0:\n"
            "    os.close(writer)\n"
            "    os.read(reader, 1)            # until the parent ends\n"
            "    os._exit(0)\n"
            "file.close()                      # the child's copy keeps the lock\n"
            'again = open("state", "w")\n'
            "fcntl.flock(again, fcntl.LOCK_EX)"
        ),
        shown_by="who holds a copy of the description",
        remedy="unlock explicitly, close the copy in the child; os.set_inheritable(fd, False)",
        see_also=("IPC111", "IPC214"),
    ),
    Rule(
        code="IPC125",
        name="livelock",
        severity="error",
        summary="Threads run and calls go by, but no byte and no state advances.",
        explanation=(
            "Each asks again and again for what only another could change, or tries again at once what failed a moment "
            "ago, and so does the other."
        ),
        example=(
            "def child(a, b):                  # two multiprocessing.Value\n"
            "    while not a.value:\n"
            "        time.sleep(0.001)\n"
            "    b.value = 1\n"
            "\n"
            "Process(target=child, args=(a, b)).start()\n"
            "while not b.value:                # and a.value = 1 comes after\n"
            "    time.sleep(0.001)"
        ),
        shown_by=(
            "hundreds of equal rounds of calls that bring nothing, in all that could act; shared memory that has not "
            "changed"
        ),
        remedy="block in the place of trying, or back off for a random while",
        see_also=("IPC406",),
    ),
    Rule(
        code="IPC126",
        name="retried-wait",
        severity="error",
        summary="A signal came, its handler returned, and the call went back to waiting.",
        explanation=(
            "Since Python 3.5 (PEP 475) a system call that a signal interrupts is tried again when the handler "
            "returns. An alarm whose handler only sets a flag doesn't end a read."
        ),
        example=(
            "signal.signal(signal.SIGALRM, lambda *_: None)\n"
            "signal.alarm(1)\n"
            "os.read(r, 1)                     # waits on"
        ),
        shown_by="a handler's run inside a call that has not returned",
        remedy="raise from the handler, or use a timeout of the call itself",
        see_also=("IPC119",),
    ),
)
