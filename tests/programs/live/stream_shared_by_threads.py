"""Two threads use one stream; its reader, a tool, begins late."""

import subprocess
import threading

reader = subprocess.Popen(["sh", "-c", "sleep 1.7; cat >/dev/null"], stdin=subprocess.PIPE)


def talk(size):
    reader.stdin.write(b"x" * size)
    reader.stdin.flush()


threads = [threading.Thread(target=talk, args=(size,)) for size in (200_000, 100)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
reader.stdin.close()
reader.wait()
