"""IPC2xx: data is at risk."""

from __future__ import annotations

from .rule import Rule

RULES = (
    Rule(
        code="IPC201",
        name="merged-messages",
        severity="warning",
        summary="One read returned bytes of several writes of a sender that marks no boundary.",
        explanation=(
            "A pipe carries bytes, not messages: what is written twice before the reader comes is read at once. That "
            "a run got them one by one is a matter of timing."
        ),
        example=(
            "import os\n"
            "r, w = os.pipe()\n"
            'os.write(w, b"Spam 1")\n'
            'os.write(w, b"Spam 2")\n'
            'os.read(r, 32)                    # b"Spam 1Spam 2"'
        ),
        shown_by="the writes whose bytes one read returned",
        remedy=(
            "mark where a message ends: a newline and readline(), a length before it, or a channel that keeps "
            "messages apart"
        ),
        see_also=("IPC202", "IPC108"),
    ),
    Rule(
        code="IPC202",
        name="torn-messages",
        severity="warning",
        summary="Writes of several senders are mixed up in one channel, or a large one is cut.",
        explanation=(
            "Only writes of at most PIPE_BUF bytes (4,096) to a pipe are whole. Larger ones, and anything on a "
            "stream socket or through one shared stream, can have another's bytes in their middle."
        ),
        example=(
            "import subprocess, sys\n"
            "for number in range(1200):\n"
            '    print("line", number)         # the first 8 KiB leave, up to mid-line\n'
            'subprocess.run([sys.executable, "-c", "print(\'other\')"])'
        ),
        shown_by="a write's bytes that were not delivered together, with another's between",
        remedy="one channel a sender, a lock around each message, or messages of at most PIPE_BUF bytes",
        see_also=("IPC201", "IPC206"),
    ),
    Rule(
        code="IPC203",
        name="lost-buffer",
        severity="warning",
        summary="Bytes were still in a stream's buffer when the process ended without flushing, and are lost.",
        explanation=(
            "os._exit, exec and death by a signal leave user-space buffers as they are. Only a normal end of the "
            "interpreter flushes them."
        ),
        example=(
            'import os\nprint("done")\nos._exit(0)                       # to a file or a pipe, "done" never comes'
        ),
        shown_by=(
            "bytes that a stream accepted and that never reached the descriptor; the lines that wrote them; how the "
            "process ended"
        ),
        remedy="flush before os._exit and exec; sys.exit in the place of os._exit; a handler for SIGTERM",
        see_also=("IPC101", "IPC204"),
    ),
    Rule(
        code="IPC204",
        name="duplicated-buffer",
        severity="warning",
        summary="Bytes that were pending at a fork came out twice.",
        explanation="The child of a fork has a copy of every buffer, and flushes it, too, when it ends.",
        example=('import os\nprint("once?")\nos.fork()                         # to a file or a pipe: printed twice'),
        shown_by="pending bytes at the fork; the same bytes written by both processes",
        remedy="flush before the fork; os._exit in the child",
        see_also=("IPC203",),
    ),
    Rule(
        code="IPC205",
        name="broken-pipe",
        severity="warning",
        summary="A process wrote to a pipe whose readers had all gone.",
        explanation=(
            "The write raises BrokenPipeError (SIGPIPE ends programs in C). What was written before and not yet read "
            "is lost as well."
        ),
        example=('import os\nr, w = os.pipe()\nos.close(r)\nos.write(w, b"Spam")              # BrokenPipeError'),
        shown_by="the failed write; when the last read end was closed, and by whom",
        remedy="read to the end, or expect the error where a reader may leave early",
        see_also=("IPC106",),
    ),
    Rule(
        code="IPC206",
        name="short-io-ignored",
        severity="warning",
        summary="A write took, or a read returned, less than was asked for, and nobody dealt with the rest.",
        explanation=(
            "os.write on a non-blocking descriptor, socket.send and os.read may move only a part. They say so in "
            "what they return."
        ),
        example=(
            "import os\n"
            "r, w = os.pipe()\n"
            "os.set_blocking(w, False)\n"
            "os.write(w, bytes(100_000))       # returns 65536: a part, and no more comes"
        ),
        shown_by="asked and moved bytes of the call; no further call for the rest",
        remedy="loop until all is moved; sendall; a buffered stream",
        see_also=("IPC108", "IPC202"),
    ),
    Rule(
        code="IPC207",
        name="shared-description",
        severity="warning",
        summary="The offset or the non-blocking flag of an open file was changed under another process.",
        explanation=(
            "dup and fork share the open file description: where one reads, the other's position moves; where one "
            "sets O_NONBLOCK, the other's reads fail."
        ),
        example=(
            "import os\n"
            "r, w = os.pipe()\n"
            "if os.fork() == 0:\n"
            "    os.set_blocking(r, False)     # for the parent, too\n"
            "    os._exit(0)\n"
            "os.wait()\n"
            "os.read(r, 1)                     # BlockingIOError"
        ),
        shown_by="the change, and another process's next call on the same description",
        remedy="open the file anew in each process; set the flag back, or use MSG_DONTWAIT and the like a call",
        see_also=("IPC208",),
    ),
    Rule(
        code="IPC208",
        name="stolen-input",
        severity="warning",
        summary="Two processes read one stream, and each got a part of what was meant for one.",
        explanation=(
            "Bytes go to whoever reads first. A child inherits its parent's standard input unless it is given another."
        ),
        example=(
            "import os, subprocess\n"
            "r, w = os.pipe()\n"
            'os.write(w, b"one\\ntwo\\n")\n'
            "os.close(w)\n"
            "os.dup2(r, 0)\n"
            'os.read(0, 4)                     # b"one\\n"\n'
            'subprocess.run(["cat"])           # takes b"two\\n"\n'
            'os.read(0, 4)                     # b""'
        ),
        shown_by="reads by both, each with a part of the messages",
        remedy="stdin=DEVNULL for the child, or one reader that hands out",
        see_also=("IPC217", "IPC207"),
    ),
    Rule(
        code="IPC209",
        name="reordered-output",
        severity="warning",
        summary="What was printed first came out later, across a buffer.",
        explanation=(
            "A parent prints into its buffer and starts a child that writes to the same file: the child's lines come "
            "first, the parent's at its end."
        ),
        example=(
            "import subprocess, sys\n"
            'print("before")\n'
            'subprocess.run([sys.executable, "-c", "print(\'after\')"])\n'
            '# to a file or a pipe, "after" comes first'
        ),
        shown_by="the order of print and of the bytes' arrival in the channel",
        remedy="flush before the child is started",
        see_also=("IPC101", "IPC204"),
    ),
    Rule(
        code="IPC210",
        name="fifo-early-eof",
        severity="warning",
        summary="A reader of a FIFO got end of file between two writers.",
        explanation=(
            "When the last writer closes a FIFO its reader sees end of file, even where the next writer is about to "
            "come."
        ),
        example=(
            "import os\n"
            "\n"
            'os.mkfifo("fifo")\n'
            "def write(words):\n"
            "    if os.fork() == 0:\n"
            '        with open("fifo", "w") as fifo:\n'
            "            fifo.write(words)\n"
            "        os._exit(0)\n"
            "\n"
            'write("one\\n")\n'
            'r = os.open("fifo", os.O_RDONLY)\n'
            "while os.read(r, 100):            # ends with the first writer ...\n"
            "    pass\n"
            "os.wait()\n"
            'write("two\\n")                    # ... so nobody reads what comes next\n'
            "os.wait()"
        ),
        shown_by="an empty read between the close of one writer and the opening by the next",
        remedy="keep a write end open in the reader (O_RDWR), or open it again at end of file",
        see_also=("IPC117",),
    ),
    Rule(
        code="IPC211",
        name="terminal-line-limit",
        severity="warning",
        summary="A terminal in canonical mode cut or dropped a long line.",
        explanation=(
            "A terminal edits lines in a buffer of 4,096 bytes: what a line has beyond that is lost without an error."
        ),
        example=(
            "import os\n"
            "\n"
            "leader, follower = os.openpty()\n"
            'os.write(leader, b"x" * 3000)\n'
            'os.write(leader, b"x" * 3000 + b"\\n")\n'
            "print(len(os.read(follower, 9000)))        # 4096 of 6001"
        ),
        shown_by="the length of the line written, and the terminal's mode as it was",
        remedy="shorter lines, or the terminal in raw mode (tty.setraw), or a pipe",
    ),
    Rule(
        code="IPC212",
        name="reentrant-io",
        severity="warning",
        summary="A signal handler used a buffered stream while it was in use.",
        explanation=(
            "The handler runs in the middle of the main thread. If that is in print, the handler's print raises "
            "RuntimeError: reentrant call."
        ),
        example=(
            "import os, signal\n"
            "\n"
            "r, w = os.pipe()\n"
            'out = os.fdopen(w, "w")\n'
            "def tick(*_):\n"
            '    print("tick", file=out, flush=True)    # RuntimeError: reentrant call\n'
            "signal.signal(signal.SIGALRM, tick)\n"
            "signal.alarm(1)\n"
            "try:\n"
            '    out.write("x" * 100_000)               # waits for a reader\n'
            "except RuntimeError:\n"
            "    os._exit(1)"
        ),
        shown_by="a stream's call inside another's, in a handler",
        remedy="os.write in handlers, or only set a flag there",
        see_also=("IPC112",),
    ),
    Rule(
        code="IPC213",
        name="status-lost",
        severity="warning",
        summary="A child's exit status was collected by somebody else, or thrown away.",
        explanation=(
            "A status can be waited for once. waitpid(-1) takes any child's, and with SIGCHLD ignored the system "
            "keeps none: subprocess then reports 0."
        ),
        example=(
            "import signal, subprocess\n"
            "\n"
            "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
            'print(subprocess.call(["false"]))          # 0, though it failed'
        ),
        shown_by="the wait that found no child; who had waited before",
        remedy="wait for the child by its pid, in one place; leave SIGCHLD at its default",
        see_also=("IPC302",),
    ),
    Rule(
        code="IPC214",
        name="lock-dropped",
        severity="warning",
        summary="A record lock was released by closing another descriptor of the same file.",
        explanation=(
            "Locks of fcntl.lockf belong to the process and the file: closing any descriptor of the file drops them "
            "all."
        ),
        example=(
            "import fcntl\n"
            "\n"
            'file = open("data", "w")\n'
            "fcntl.lockf(file, fcntl.LOCK_EX)\n"
            'open("data").close()                       # drops the lock\n'
            'file.write("alone?")\n'
            "file.flush()"
        ),
        shown_by="the close between lock and unlock",
        remedy="flock, or one descriptor a file",
        see_also=("IPC124",),
    ),
    Rule(
        code="IPC215",
        name="split-character",
        severity="warning",
        summary="A read ended in the middle of a character of several bytes.",
        explanation="Decoding each read by itself raises UnicodeDecodeError, or puts replacement characters there.",
        example=(
            "import os\n"
            "\n"
            "r, w = os.pipe()\n"
            'os.write(w, "\\N{LATIN SMALL LETTER E WITH ACUTE}".encode() * 20)\n'
            "print(os.read(r, 31).decode())             # the 31st byte is half of one"
        ),
        shown_by="the bytes at the read's end, and that they were decoded by themselves",
        remedy="an incremental decoder, a text stream over the descriptor, or whole messages",
        see_also=("IPC201",),
    ),
    Rule(
        code="IPC216",
        name="shutdown-lock",
        severity="warning",
        summary="A daemon thread held a stream's lock as the interpreter ended.",
        explanation=(
            "The interpreter flushes standard output at its end. A daemon thread that sits in a read or a print of "
            "the same stream has its lock; Python gives up with a fatal error."
        ),
        example=(
            "import sys, threading, time\n"
            "\n"
            "threading.Thread(target=sys.stdin.read, daemon=True).start()\n"
            "time.sleep(1)                              # the end, with the thread inside"
        ),
        shown_by="the thread's open call as the interpreter ends",
        remedy="join the thread, or let it read the descriptor (os.read) in place of the stream",
        see_also=("IPC112",),
    ),
    Rule(
        code="IPC217",
        name="over-read",
        severity="warning",
        summary="A process read ahead, into its own buffer, what its child was meant to read.",
        explanation=(
            "A buffered stream takes some 8 KiB at once. A child that inherits the descriptor begins behind them."
        ),
        example=(
            "import os, subprocess, sys\n"
            "\n"
            "r, w = os.pipe()\n"
            'os.write(w, b"one\\ntwo\\n")\n'
            "os.close(w)\n"
            "lines = open(r)\n"
            "print(lines.readline())                    # takes all that is there\n"
            'subprocess.run([sys.executable, "-c", "input()"], stdin=r)  # EOFError'
        ),
        shown_by="bytes taken from the descriptor and never asked for by the program; the child's start",
        remedy="read the descriptor without a buffer (os.read, buffering=0), or hand the rest to the child",
        see_also=("IPC103", "IPC208"),
    ),
)
