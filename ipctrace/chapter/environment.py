"""The environment: what a child is given.

What it changes is its own: nothing comes back.
"""

import os
import subprocess
import sys

SHOW = "import os; print(os.environ.get('SPAM'), os.environ.get('EGGS'), flush=True); os.environ['SPAM'] = 'changed'"


def child(**settings: "dict[str, str]") -> None:
    subprocess.run([sys.executable, "-c", SHOW], check=True, **settings)  # type: ignore[call-overload]


if __name__ == "__main__":
    os.environ["SPAM"] = "inherited"
    child()
    print(f"the parent still has {os.environ['SPAM']}", flush=True)

    child(env={"EGGS": "the only one"})

    child(env={**os.environ, "EGGS": "one more"})

    del os.environ["SPAM"]
    child()
