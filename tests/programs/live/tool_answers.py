"""An untraced tool waits for a thread that sleeps."""

import subprocess
import threading
import time

tool = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def late():
    time.sleep(1.2)
    tool.stdin.write(b"x\n")
    tool.stdin.close()


threading.Thread(target=late).start()
assert tool.stdout.readline() == b"x\n"
tool.wait()
