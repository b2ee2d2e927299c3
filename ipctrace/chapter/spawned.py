"""posix_spawn and exec: a new program in a process."""

import os
import sys

READ = "import os; print('the child read', os.read(0, 99), flush=True)"


def spawn() -> None:
    """fork and exec in one call: what the child's descriptors are is told beforehand."""
    reading_end, writing_end = os.pipe()
    actions = [
        (os.POSIX_SPAWN_DUP2, reading_end, 0),
        (os.POSIX_SPAWN_CLOSE, reading_end),
        (os.POSIX_SPAWN_CLOSE, writing_end),
    ]
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", READ], os.environ, file_actions=actions)
    os.close(reading_end)
    os.write(writing_end, b"spam")
    os.close(writing_end)
    print("exit status", os.WEXITSTATUS(os.waitpid(pid, 0)[1]), flush=True)


def fork_and_exec() -> None:
    """The same by hand: the process stays, with its descriptors; the program in it is another one."""
    reading_end, writing_end = os.pipe()
    if os.fork() == 0:
        os.dup2(reading_end, 0)
        os.close(writing_end)
        os.execv(sys.executable, [sys.executable, "-c", READ])
    os.close(reading_end)
    os.write(writing_end, b"eggs")
    os.close(writing_end)
    print("exit status", os.WEXITSTATUS(os.wait()[1]), flush=True)


if __name__ == "__main__":
    if hasattr(os, "posix_spawn"):  # PyPy may have none
        spawn()
    fork_and_exec()
    print("os.spawnlp says", os.spawnlp(os.P_WAIT, "true", "true"))
