"""IPC1xx: the program can't go on, because of what lies in a channel or a buffer, or who holds its ends."""

from __future__ import annotations

from .rule import Rule

RULES = (
    Rule(
        code="IPC101",
        name="unflushed-buffer",
        severity="error",
        summary="A waiter waits for bytes that its peer has printed but not flushed, and the peer waits too.",
        explanation=(
            "A stream over a pipe or a file is block-buffered: what is printed stays in the process until some 8 KiB "
            "have come together, the stream is flushed, or the program ends. On a terminal it is line-buffered, so "
            "the same program works when it is started by hand."
        ),
        example=(
            'child = subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE, text=True)\n'
            'child.stdin.write("hello\\n")     # stays in this process\'s buffer ...\n'
            "child.stdout.readline()           # ... and this waits for what comes of it"
        ),
        shown_by=(
            "bytes stuck in the output buffer of a member of the knot, on the channel that another member waits on; "
            "the lines that wrote them"
        ),
        remedy=(
            "flush where the bytes are stuck: print(..., flush=True), or stream.flush() before the read; or make the "
            "stream line-buffered: open(..., buffering=1), reconfigure(line_buffering=True); or run Python with -u"
        ),
        see_also=("IPC102", "IPC103", "IPC203"),
    ),
    Rule(
        code="IPC102",
        name="foreign-buffer",
        severity="error",
        summary=(
            "A program that isn't Python has read its input, keeps its answer in its own buffer, and waits for more."
        ),
        explanation=(
            "The C library buffers by blocks wherever standard output is not a terminal. awk, grep, sed and sort "
            "then answer when their buffer is full or their input ends, and not line by line."
        ),
        example=(
            'pipes = {"stdin": PIPE, "stdout": PIPE, "text": True, "bufsize": 1}\n'
            'grep = subprocess.Popen(["grep", "a"], **pipes)\n'
            'grep.stdin.write("a line\\n")\n'
            "grep.stdout.readline()            # grep has it, and keeps it"
        ),
        shown_by="the untraced process's descriptors, the read it is blocked in, the bytes that went in and came out",
        remedy=(
            "ask for lines: stdbuf -oL PROGRAM, grep --line-buffered, sed -u, awk with fflush(); or give it a "
            "terminal (pty)"
        ),
        see_also=("IPC101",),
    ),
    Rule(
        code="IPC103",
        name="read-ahead",
        severity="error",
        summary="What the waiter waits for already lies in a read buffer of user space.",
        explanation=(
            "A buffered reader takes all that is there, not only the line that was asked for. select() looks at the "
            "descriptor and sees nothing, though the next line is in the buffer; a child that is started then finds "
            "an empty descriptor."
        ),
        example=(
            "select.select([child.stdout], [], [])\n"
            "child.stdout.readline()                # takes two lines, returns one\n"
            "select.select([child.stdout], [], [])  # waits for what is in the buffer"
        ),
        shown_by="unread bytes in a reader's buffer on the channel that is waited on",
        remedy=(
            "wait and read at the same level: os.read on the descriptor, or an unbuffered stream (buffering=0), or "
            "only the buffered reader and no select"
        ),
        see_also=("IPC101", "IPC217"),
    ),
    Rule(
        code="IPC104",
        name="pipe-full",
        severity="error",
        summary="A writer waits for room in a full pipe, and its reader waits for the writer.",
        explanation=(
            "A pipe holds 64 KiB at most (less with small packets, or for a user with many pipes). Who writes more "
            "must have somebody who reads meanwhile; waiting for a child to end before reading what it prints is the "
            "classical mistake."
        ),
        example=(
            'child = subprocess.Popen(["seq", "100000"], stdout=PIPE)\n'
            "child.wait()                      # seq waits for room, and we for seq\n"
            "child.stdout.read()"
        ),
        shown_by="a write that was entered and has not returned; the reader's own wait",
        remedy=(
            "read before or while waiting: communicate(), a thread that drains, select over both; or let the child "
            "write to a file"
        ),
        see_also=("IPC109", "IPC402"),
    ),
    Rule(
        code="IPC105",
        name="missing-eof",
        severity="error",
        summary="A reader waits for end of file, and a write end of its pipe is still open.",
        explanation=(
            "End of file comes when the last write end is closed, whoever holds it: the writer, the reader itself, "
            "or a bystander that inherited it in a fork."
        ),
        example=(
            "r, w = os.pipe()\n"
            "if os.fork() == 0:\n"
            "    os.fdopen(r).read()           # waits for ever: ...\n"
            "    os._exit(0)\n"
            'os.write(w, b"all there is")\n'
            "os.close(w)                       # ... this closes one of two\n"
            "os.wait()"
        ),
        shown_by="the holders of the write end, and the fork, dup or spawn that gave it to each",
        remedy=(
            "close the end that isn't used, first thing after the fork; close_fds=True (Popen's default); "
            "shutdown(SHUT_WR) on a socket; or a sentinel in place of end of file"
        ),
        see_also=("IPC106", "IPC301"),
    ),
    Rule(
        code="IPC106",
        name="leaked-reader",
        severity="error",
        summary=(
            "A writer that should be told that nobody reads waits for room instead, as a forgotten read end is still "
            "open."
        ),
        explanation=(
            "Writing to a pipe without readers raises BrokenPipeError. As long as any process holds a read end, the "
            "pipe only fills up."
        ),
        example=(
            "r, w = os.pipe()\n"
            "if os.fork() == 0:\n"
            "    os.close(w); os.read(r, 10); os._exit(0)\n"
            "while True:                       # r is still open here\n"
            '    os.write(w, b"x" * 4096)'
        ),
        shown_by="the holders of the read end; none of them ever reads it again",
        remedy="close the read end in the process that writes, first thing after the fork",
        see_also=("IPC105", "IPC205"),
    ),
    Rule(
        code="IPC107",
        name="mutual-receive",
        severity="error",
        summary="All wait to receive, and no bytes are under way anywhere.",
        explanation=(
            "Channels and buffers are empty: nothing is stuck, nobody has spoken. The protocol lets both sides "
            "listen at once."
        ),
        example=(
            "a, b = socket.socketpair()\n"
            "if os.fork() == 0:\n"
            "    b.recv(10)                    # each side listens ...\n"
            "a.recv(10)                        # ... for the other's first word"
        ),
        shown_by="empty channels and empty buffers between the members of the knot",
        remedy="settle who speaks first; answer each request before waiting for the next",
        see_also=("IPC101", "IPC108"),
    ),
    Rule(
        code="IPC108",
        name="short-frame",
        severity="error",
        summary="A reader waits for the rest of a message that its sender believes sent.",
        explanation=(
            "readline() waits for a newline, read(n) for n bytes, recv loops for a length. A message without its "
            "end, or a write that took only a part, leaves the reader waiting in the middle."
        ),
        example=(
            'child.stdin.write("question")   # no newline\n'
            "child.stdin.flush()\n"
            "child.stdout.readline()           # the child is in readline(), too"
        ),
        shown_by=(
            "bytes of an unfinished message, delivered or in the channel; the delimiter or length that the reader "
            "asks for"
        ),
        remedy="send the delimiter; loop until a short write is done; read what is there: read1(), os.read()",
        see_also=("IPC206", "IPC107"),
    ),
    Rule(
        code="IPC109",
        name="wait-cycle",
        severity="error",
        summary="A process waits for another to end, and that one waits for the first.",
        explanation=(
            "wait, join and communicate end when the other has ended; the other waits for an answer, for end of "
            "file, or for a lock that only the waiting process can give. Some calls wait for an end by themselves: the "
            "end of the program for its threads, close() of os.popen and Popen as a context for the child."
        ),
        example=(
            'child = subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE)\n'
            "child.wait()                      # cat waits for the end of its input"
        ),
        shown_by="a wait for a process or thread as an edge of the knot",
        remedy="close or answer what the other waits for, then wait",
        see_also=("IPC104", "IPC105"),
    ),
    Rule(
        code="IPC110",
        name="queue-feeder-join",
        severity="error",
        summary="A process that has put on a multiprocessing queue is joined before the queue is drained.",
        explanation=(
            "put() only hands the object to a feeder thread, and a process ends only when its feeder has written "
            "everything to the queue's pipe. If nobody gets, the pipe fills, the feeder waits, and so does join()."
        ),
        example=(
            "queue = multiprocessing.Queue()\n"
            'worker = multiprocessing.Process(target=queue.put, args=("x" * 100_000,))\n'
            "worker.start()\n"
            "worker.join()                     # get first\n"
            "queue.get()"
        ),
        shown_by="the feeder thread blocked on the queue's pipe, the parent in join",
        remedy="get everything that was put, then join",
        see_also=("IPC104", "IPC109"),
    ),
    Rule(
        code="IPC117",
        name="fifo-open",
        severity="error",
        summary="Opening a FIFO waits for the other side, which opens another one first, or never comes.",
        explanation=(
            "open() of a FIFO for reading returns when somebody opens it for writing, and the other way round. Two "
            "processes that open two FIFOs in opposite orders wait for each other."
        ),
        example=(
            "# one process                     # the other\n"
            'up = open("up", "w")             # down = open("down", "w")\n'
            'down = open("down")               # up = open("up")'
        ),
        shown_by="open calls that have not returned, on both sides",
        remedy="open them in the same order on both sides; or os.open with O_RDWR, or with O_NONBLOCK",
        see_also=("IPC210",),
    ),
    Rule(
        code="IPC118",
        name="peer-gone",
        severity="error",
        summary="The process that should have answered has ended, and the channel stays open elsewhere.",
        explanation=(
            "A worker was killed, failed or left early, and took the work with it. Its channel gives no end of file, "
            "since another process holds a copy of its end. So it is with a thread that an exception ended, and with "
            "workers of a pool that fail as they start and are replaced for ever."
        ),
        example=(
            "def work(x):\n"
            "    if x == 2:\n"
            "        os._exit(1)               # or the system is out of memory\n"
            "    return x\n"
            "\n"
            "multiprocessing.Pool(2).map(work, range(4))   # waits for ever"
        ),
        shown_by="how and when it ended, what it had last taken without answer; who holds its end of the channel now",
        remedy="watch the child too (its sentinel, SIGCHLD, waitpid); close inherited copies so that end of file comes",
        see_also=("IPC105", "IPC114"),
    ),
    Rule(
        code="IPC122",
        name="or-knot",
        severity="error",
        summary="A waiter has several ways on, and all of them end in the knot.",
        explanation=(
            "select, poll and waitpid(-1) go on with any of several events. Here each of them can only come from "
            "processes that wait themselves, in the end for this one."
        ),
        example="",
        shown_by="the whole knot: every member that could act waits in it",
        remedy="as its members' findings say; any one of the ways that is opened frees them all",
        see_also=("IPC107", "IPC109"),
    ),
    Rule(
        code="IPC199",
        name="unexplained-hang",
        severity="error",
        summary="Nothing that is left can ever go on, and none of the other rules says why.",
        explanation=(
            "The wait-for graph proves it; the cause has no name yet. The graph and the stacks show what each member "
            "waits for."
        ),
        example="",
        shown_by="the knot",
        remedy="break any edge of the knot: read the members' stacks and the lines that they wait at",
        see_also=("IPC122",),
    ),
)
