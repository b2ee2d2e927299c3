"""A child that says nothing and takes its time is waited for: by a run, and by the close of its output."""

import os
import subprocess

subprocess.run(["sleep", "1.5"], check=True)
output = os.popen("echo hi; exec 1>&-; exec sleep 1.5")
assert output.read() == "hi\n"
output.close()
