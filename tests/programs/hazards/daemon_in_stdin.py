"""A daemon thread sits in a read of sys.stdin when the interpreter ends."""

import subprocess
import sys

READ = "os.read(0, 1)" if "--fixed" in sys.argv else "sys.stdin.buffer.read(1)"
TEXT = f"""
import os, sys, threading, time
threading.Thread(target=lambda: {READ}, daemon=True).start()
time.sleep(0.3)
"""
child = subprocess.Popen([sys.executable, "-c", TEXT], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
print(child.wait())
