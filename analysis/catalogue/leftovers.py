"""IPC3xx: something is left behind."""

from __future__ import annotations

from .rule import Rule

RULES = (
    Rule(
        code="IPC301",
        name="leaked-descriptor",
        severity="warning",
        summary="An end of a channel was inherited by, or stays open in, a process that never uses it.",
        explanation=(
            "It does no harm until somebody waits for end of file, or for a broken pipe: then it hangs the program, "
            "and far from here."
        ),
        example=(
            "r, w = os.pipe()\n"
            "if os.fork() == 0:\n"
            "    child(w)                      # r stays open here ...\n"
            "parent(r)                         # ... and w here"
        ),
        shown_by="the end, how the process came to it, and that no call ever used it",
        remedy="close it there, first thing after the fork",
        see_also=("IPC105", "IPC106"),
    ),
    Rule(
        code="IPC302",
        name="zombie",
        severity="warning",
        summary="A child has ended, and nobody has waited for it.",
        explanation=(
            "The system keeps its number and its status until the parent waits. A long-lived parent collects them."
        ),
        example=(
            "import subprocess, time\n"
            "\n"
            'child = subprocess.Popen(["true"])\n'
            "time.sleep(2)                              # it has long ended"
        ),
        shown_by="the child's end without a wait, long before the parent's own",
        remedy="wait for it (Popen.wait, os.waitpid), or subprocess.run",
        see_also=("IPC213",),
    ),
    Rule(
        code="IPC303",
        name="orphan",
        severity="warning",
        summary="A process outlived the program that started it.",
        explanation=(
            "It goes on without anyone who waits for it, with copies of the program's descriptors: a terminal, a "
            "pipe of the shell."
        ),
        example=(
            'import subprocess\n\nsubprocess.Popen(["sleep", "100"])         # it goes on'
        ),
        shown_by="the process was still there when the program ended",
        remedy="end it and wait for it before leaving; on Linux PR_SET_PDEATHSIG",
        see_also=("IPC302",),
    ),
    Rule(
        code="IPC304",
        name="shared-memory-lifetime",
        severity="warning",
        summary="Shared memory was unlinked while in use, or never.",
        explanation=(
            "A segment lives until it is unlinked, whoever made it; until Python 3.13 every process that attaches "
            "also registers it to be removed at its own end."
        ),
        example=(
            "from multiprocessing import shared_memory\n"
            "\n"
            "memory = shared_memory.SharedMemory(create=True, size=100)\n"
            "memory.buf[0] = 1\n"
            "memory.close()                             # and who calls unlink()?"
        ),
        shown_by="create, attach, close and unlink of the segment",
        remedy="one owner unlinks, after the last user; track=False for the others (3.13)",
        see_also=("IPC305",),
    ),
    Rule(
        code="IPC305",
        name="stale-endpoint",
        severity="warning",
        summary="A FIFO or a socket's file was left in the file system.",
        explanation=(
            'The next start finds it: bind fails with "address already in use", or somebody opens a FIFO that nobody '
            "serves."
        ),
        example=(
            "import socket\n"
            "\n"
            "server = socket.socket(socket.AF_UNIX)\n"
            'server.bind("socket")\n'
            "server.close()                             # the file stays"
        ),
        shown_by="its creation without removal",
        remedy="remove it at the end (try/finally, atexit), or make it in a temporary folder",
        see_also=("IPC304",),
    ),
)
