"""A system call for every number."""

import sys

for number in range(3000):
    print(number, flush="--fixed" not in sys.argv)
