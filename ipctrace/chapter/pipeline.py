"""A shell's pipeline between two Pythons.

We write words, grep and sort pass on the ones that they like, in order, and we read what comes out. cat is there as it
so often is: for nothing. None of the tools is Python; what runs between our two ends is seen from outside.
"""

import subprocess
import sys

WORDS = ["spam", "egg", "spam and egg", "bacon", "bacon and spam"]
COUNT = """
import sys
lines = sys.stdin.read().split("\\n")
print(len(lines) - 1, "lines, the first is", lines[0])
"""

if __name__ == "__main__":
    commands = [["cat"], ["grep", "spam"], ["sort", "-r"], [sys.executable, "-c", COUNT]]
    tools = []
    source = subprocess.PIPE
    for command in commands:
        tools.append(subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE))
        if source != subprocess.PIPE:
            source.close()  # else we would hold the tool's input too, and it could never end
        source = tools[-1].stdout

    with tools[0].stdin as pipe:
        for word in WORDS:
            pipe.write(f"{word}\n".encode())
    with source as pipe:
        print(f"The pipeline says: {pipe.read().decode().strip()}")
    statuses = ", ".join(f"{tool.args[0].rsplit('/')[-1]} {tool.wait()}" for tool in tools)
    print(f"They ended with: {statuses}")
