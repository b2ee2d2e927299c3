"""A text under trial runs in the place of a file as if the file had been changed, and only in its own run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ipctrace.tracer import launch

from tests import target
from tests.interpreters import EACH

each_interpreter = pytest.mark.parametrize("python", EACH)

# What the main program, after the change, shows of itself: all of it has to be as in the changed file.
SELF = """
    import os, sys
    names = globals()
    print(__name__, __file__, __doc__, __package__, __spec__, names.get("__cached__"), sys.argv)
    print(sys.path[0], os.path.basename(sys.modules["__main__"].__file__), sorted(n for n in names if n[:2] != "__"))
    def where():
        return sys._getframe(0).f_lineno, sys._getframe(0).f_code.co_filename
    print(where())
"""
# name → (files before, files after, command line)
TRIALS: dict[str, tuple[dict[str, str], dict[str, str], list[str]]] = {
    "the main script": ({"main.py": "print('old')"}, {"main.py": SELF}, ["main.py", "a", "-b"]),
    "a script with a docstring and future imports": (
        {"main.py": "print('old')"},
        {"main.py": "'''Words.'''\n    from __future__ import annotations\n    def f(x: y): return 1\n" + SELF},
        ["main.py"],
    ),
    "a script in another folder": ({"sub/main.py": "1/0"}, {"sub/main.py": SELF}, ["sub/main.py"]),
    "a script that fails, and what it exits with": (
        {"main.py": "print('old')"},
        {"main.py": "import sys\n    print('new')\n    sys.exit(7)"},
        ["main.py"],
    ),
    "a script that raises": ({"main.py": "print('old')"}, {"main.py": "print('new')\n    1/0"}, ["main.py"]),
    "an imported module": (
        {"main.py": "import part; print(part.x, part.__file__, __spec__)", "part.py": "x = 'old'"},
        {"part.py": "x = 'new'"},
        ["main.py"],
    ),
    "a module run by -m": ({"part.py": "print('old')"}, {"part.py": "print('new', __name__)"}, ["-m", "part"]),
    "a package's part": (
        {"main.py": "import p.q; print(p.q.x)", "p/__init__.py": "", "p/q.py": "x = 'old'"},
        {"p/q.py": "x = 'new'"},
        ["main.py"],
    ),
    "a child found beside the script": (
        {
            "main.py": "import subprocess, sys, pathlib\n"
            "    child = pathlib.Path(__file__).with_name('child.py')\n"
            "    print(subprocess.run([sys.executable, str(child)], stdout=subprocess.PIPE).stdout)",
            "child.py": "print('old')",
        },
        {"child.py": "print('new', __file__)"},
        ["main.py"],
    ),
    "a child of exec": (
        {
            "main.py": "import os, sys; os.execv(sys.executable, [sys.executable, 'child.py'])",
            "child.py": "print('old')",
        },
        {"child.py": "print('new')"},
        ["main.py"],
    ),
    "multiprocessing's spawn, which runs the script again": (
        {"main.py": "print('old')"},
        {
            "main.py": """
    import multiprocessing
    def work(queue):
        queue.put((__name__, "new"))
    if __name__ == "__main__":
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        process = context.Process(target=work, args=(queue,))
        process.start()
        print(queue.get())
        process.join()
"""
        },
        ["main.py"],
    ),
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("\n    ", "\n"))


def run(python: str, folder: Path, command: list[str], live: Path | None) -> tuple[int, bytes, list[bytes]]:
    """Status, output, and the last words of what it complained of: runpy's frames lie below a script's."""
    given = target.clean_environment(PYTHONDONTWRITEBYTECODE="")
    if live:
        given = target.traced_environment(live, given)
    done = subprocess.run([python, *command], cwd=folder, env=given, capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr.splitlines()[-1:]


@each_interpreter
@pytest.mark.parametrize("name", TRIALS)
@pytest.mark.sample(15)
def test_it_is_as_if_the_file_had_been_changed(name: str, python: str, tmp_path: Path) -> None:
    before, after, command = TRIALS[name]
    folder = tmp_path / "program"
    folder.mkdir()
    write(folder, {**before, **after})
    changed = run(python, folder, command, None)
    texts = {str(folder / file): (folder / file).read_text() for file in after}
    write(folder, before)
    for file in folder.rglob("*.pyc"):
        file.unlink()
    old = run(python, folder, command, None)  # and leaves its bytecode there
    assert old != changed

    (tmp_path / "trial").mkdir()
    live = launch.prepare_live(tmp_path / "trial", substitutes=texts)
    assert run(python, folder, command, live) == changed
    assert run(python, folder, command, None) == old


def test_a_run_without_a_trial_has_nothing_of_it(tmp_path: Path) -> None:
    show = "import sys, io; print(len(sys.path_hooks), io.open_code, sys.path_hooks)"
    alone = target.run(show, live=None)
    recorded = target.run(show, live=tmp_path / "live")
    assert recorded.stdout.split(b" at 0x")[0] == alone.stdout.split(b" at 0x")[0]
    assert not (tmp_path / "live" / "inject" / "_ipctrace" / "substitutes").exists()
