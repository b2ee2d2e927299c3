"""subprocess: run, Popen, communicate, a pipeline."""

import subprocess
import sys

SHOUT = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"


def ask(line: str, process: "subprocess.Popen[str]") -> str:
    """Send a line and read the answer; without the flush both would wait for ever."""
    assert process.stdin and process.stdout
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().rstrip("\n")


if __name__ == "__main__":
    # run: start, feed, read everything, wait
    done = subprocess.run(["sort"], input="b\na\n", stdout=subprocess.PIPE, text=True, check=True)
    print(f"sorted: {done.stdout.split()}")

    # Popen: a conversation
    with subprocess.Popen(
        [sys.executable, "-c", SHOUT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        print([ask(line, process) for line in ("spam", "eggs")])

    # communicate: all three pipes at once, so that none of them fills up
    talker = subprocess.Popen(
        "cat; echo complaint >&2; exit 4", shell=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    print(talker.communicate(b"spam " * 20_000)[1], talker.returncode)

    # a pipeline: the parent closes its copy of the pipe, or wc would never see its end
    first = subprocess.Popen(["printf", "one\\ntwo\\n"], stdout=subprocess.PIPE)
    second = subprocess.Popen(["wc", "-l"], stdin=first.stdout, stdout=subprocess.PIPE)
    assert first.stdout
    first.stdout.close()
    print(f"lines: {int(second.communicate()[0])}, statuses: {[first.wait(), second.returncode]}")
