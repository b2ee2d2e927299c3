"""The deadlock's remedy: a command pipe and communicate.

communicate() writes all that there is to say, closes the pipe, and reads all the answers meanwhile: nobody waits for a
buffer. It is no talk any more: the second line can't depend on the first answer.
"""

import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    child = str(Path(__file__).absolute().with_name("deadlock_child.py"))
    me = os.getpid()
    said = "".join(f"Hello {number} from parent {me}\n" for number in (1, 2))
    with subprocess.Popen(
        [sys.executable, child, "spam"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True
    ) as process:
        answers, _ = process.communicate(said)
    for answer in answers.splitlines():
        sys.stderr.write(f'Parent got: "{answer}"\n')
