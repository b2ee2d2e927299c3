"""A check and an act that don't belong together: two processes each see that there is no file yet, and both make it.

One mostly is there first: the other one starts later, and has more to do before.
"""

import os
import subprocess
import sys
import tempfile
import time


def take(path, preparation):
    """Status 0: this process made the file; 3: somebody else had."""
    time.sleep(preparation)
    if os.path.exists(path):
        return 3
    with open(path, "w") as file:
        file.write(str(preparation))
    return 0


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "taken")
        children = [subprocess.Popen([sys.executable, __file__, path, preparation]) for preparation in ("0", "0.3")]
        owners = [child.wait() for child in children].count(0)
    print("owners:", owners)
    return 0 if owners == 1 else 1


if __name__ == "__main__":
    sys.exit(take(sys.argv[1], float(sys.argv[2])) if len(sys.argv) > 1 else main())
