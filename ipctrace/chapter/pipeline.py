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
    tools: "list[subprocess.Popen[bytes]]" = []
    for command in commands:
        source = tools[-1].stdout if tools else subprocess.PIPE
        tools.append(subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE))
    first, *between, last = [tools[0].stdin, *(tool.stdout for tool in tools)]
    assert first
    assert last
    for pipe in between:
        assert pipe
        pipe.close()  # else we would hold the next tool's input too

    for word in WORDS:
        first.write(f"{word}\n".encode())
    first.close()
    print(f"The pipeline says: {last.read().decode().strip()}")
    last.close()
    for number, tool in enumerate(tools):
        print(f"{commands[number][0].rsplit('/')[-1]} ended with {tool.wait()}")
