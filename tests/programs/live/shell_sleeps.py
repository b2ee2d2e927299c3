"""The awaited line comes from programs that are not traced."""

import subprocess

child = subprocess.Popen("sleep 1; echo ready", shell=True, stdout=subprocess.PIPE, text=True)
assert child.stdout.readline() == "ready\n"
child.wait()
