"""What it reads comes from a process outside the run."""

import sys

assert sys.stdin.readline() == "late\n"
