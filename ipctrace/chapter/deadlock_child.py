"""What deadlock.py talks to: reads, thinks, answers, twice."""

import os
import sys
import time

pause = 3 * float(os.environ.get("CHAPTER_SLEEP", "1"))  # tests make the sleeps shorter

if __name__ == "__main__":
    me = os.getpid()
    sys.stderr.write(f'Child {me} of {os.getppid()} got arg: "{sys.argv[1]}"\n')
    for _ in range(2):
        time.sleep(pause)
        line = input()
        time.sleep(pause)
        print(f"Child {me} got: [{line}]")
