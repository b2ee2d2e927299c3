"""IPC4xx: time is wasted."""

from __future__ import annotations

from .rule import Rule

RULES = (
    Rule(
        code="IPC401",
        name="tiny-writes",
        severity="info",
        summary="There is a system call for every few bytes.",
        explanation=(
            "A call costs about as much as copying some thousand bytes. Many small ones, without a buffer or with a "
            "flush after each, add up."
        ),
        example=("for number in range(5000):\n    print(number, flush=True)"),
        shown_by="number of writes, and their mean size",
        remedy="a buffered stream, and a flush where the other side waits for it",
        see_also=("IPC405",),
    ),
    Rule(
        code="IPC402",
        name="back-pressure",
        severity="info",
        summary="A writer stood before a full channel for a noticeable part of the run.",
        explanation="The reader is slower. That is what a channel is for, unless the writer had better things to do.",
        example=(
            "import os, time\n"
            "\n"
            "r, w = os.pipe()\n"
            "if os.fork() == 0:\n"
            "    os.close(w)\n"
            "    while os.read(r, 65536):\n"
            "        time.sleep(0.1)\n"
            "    os._exit(0)\n"
            "for _ in range(20):\n"
            '    os.write(w, b"x" * 65536)              # waits for the slow reader\n'
            "os.close(w)\n"
            "os.wait()"
        ),
        shown_by="time in writes that waited for room",
        remedy="a faster reader, several readers, larger batches, or a queue between",
        see_also=("IPC104", "IPC404"),
    ),
    Rule(
        code="IPC403",
        name="late-sender",
        severity="info",
        summary="A reader waited long for a message, as its sender was busy or asleep.",
        explanation="The reader was ready first. What the sender did meanwhile is where the time went.",
        example=(
            "import os, time\n"
            "\n"
            "r, w = os.pipe()\n"
            "if os.fork() == 0:\n"
            "    time.sleep(1)\n"
            '    os.write(w, b"done")\n'
            "    os._exit(0)\n"
            "print(os.read(r, 10))                      # waits a second\n"
            "os.wait()"
        ),
        shown_by="the reader's wait, and the sender's calls during it",
        remedy="send earlier, or let the reader do something else meanwhile",
        see_also=("IPC404",),
    ),
    Rule(
        code="IPC404",
        name="late-receiver",
        severity="info",
        summary="A message lay ready for long before its reader came.",
        explanation="It had been written; the reader was busy or asleep.",
        example=(
            "import os, time\n"
            "\n"
            "r, w = os.pipe()\n"
            "if os.fork() == 0:\n"
            '    os.write(w, b"done")\n'
            "    os._exit(0)\n"
            "time.sleep(1)                              # it is there already\n"
            "print(os.read(r, 10))\n"
            "os.wait()"
        ),
        shown_by="the time between write and read, and the reader's calls during it",
        remedy="read earlier, or don't wait for an answer that can't come yet",
        see_also=("IPC403", "IPC402"),
    ),
    Rule(
        code="IPC405",
        name="ping-pong",
        severity="info",
        summary="Two sides alternate strictly where batches would do.",
        explanation=(
            "Each message waits for the answer to the one before: the time is that of switching, not that of the work."
        ),
        example=(
            "import socket, threading\n"
            "\n"
            "here, there = socket.socketpair()\n"
            "def answer():\n"
            "    while there.recv(1):\n"
            '        there.send(b"!")\n'
            "threading.Thread(target=answer).start()\n"
            "for _ in range(5_000):\n"
            '    here.send(b"?")\n'
            "    here.recv(1)                           # before the next question\n"
            "here.close()"
        ),
        shown_by="the alternation of messages, and the time of a round",
        remedy="send several before waiting; let the answers come later",
        see_also=("IPC401",),
    ),
    Rule(
        code="IPC406",
        name="polling",
        severity="info",
        summary="A thread asks again and again, without waiting, for what is not there.",
        explanation="Non-blocking calls or short timeouts that return nothing cost time, and notice late.",
        example=(
            "import select, subprocess\n"
            "\n"
            'child = subprocess.Popen(["sleep", "2"], stdout=subprocess.PIPE)\n'
            "while not select.select([child.stdout], [], [], 0.005)[0]:\n"
            "    pass\n"
            "child.communicate()"
        ),
        shown_by="number of calls that returned nothing, and the time they took",
        remedy="block: a read, a wait, a Condition, select without a timeout",
        see_also=("IPC125",),
    ),
)
