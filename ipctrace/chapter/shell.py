"""os.system and os.popen: commands, exit statuses.

A command is a line for a shell, which Python starts. What comes back of it: from os.system a wait status, which holds
the exit status or the signal; from os.popen a stream.
"""

import os

DESCRIPTION = "three words only\n"


def meaning(status: int) -> str:
    """What a wait status says."""
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return f"exit status {os.WEXITSTATUS(status)}"


if __name__ == "__main__":
    for command in ("true", "exit 3", "kill -TERM $$"):
        print(f"{command}: {meaning(os.system(command))}")

    with os.popen("echo spam | tr a-z A-Z") as output:
        print(f"read {output.read()!r}")

    words = os.popen("wc -w >&2", "w")
    words.write(DESCRIPTION)
    print(f"close() says {words.close()}")  # None: exit status 0

    print(f"close() says {meaning(os.popen('exit 5').close() or 0)}")
