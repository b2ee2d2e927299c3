"""Arguments to a child, and its exit status back.

The least that a parent and its child can tell each other.
"""

import subprocess
import sys

PROGRAM = """
import sys
if not all(argument.isdigit() for argument in sys.argv[1:]):
    sys.exit(f"not a number in {sys.argv[1:]}")  # on standard error, and the status is 1
sys.exit(sum(map(int, sys.argv[1:])) % 256)  # eight bits come back
"""

if __name__ == "__main__":
    for numbers in ([1, 2, 3], [200, 100]):
        arguments = [str(number) for number in numbers]
        child = subprocess.run([sys.executable, "-c", PROGRAM, *arguments])
        print(f"{' + '.join(arguments)}: the child said {child.returncode}")
    child = subprocess.run([sys.executable, "-c", PROGRAM, "spam"], stderr=subprocess.DEVNULL)
    print(f"spam: the child failed with {child.returncode}")
