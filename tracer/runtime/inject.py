"""Copied into the run's folder as sitecustomize.py, first on PYTHONPATH: how every Python child is reached.

Loads the runtime beside it, takes that folder off sys.path again, and gives way to the sitecustomize that it shadows,
or to none. Never raises into the program.
"""

import os
import sys


def _begin(folder: str) -> None:
    run = os.environ.get("IPCTRACE_RUN")
    if not run or os.path.realpath(folder) != os.path.realpath(os.path.join(run.split(":", 2)[-1], "inject")):
        return  # a PYTHONPATH that has outlived its run
    bytecode, prefix = sys.dont_write_bytecode, sys.pycache_prefix
    try:
        # bytecode may be kept in the run's own folder, and only there
        sys.dont_write_bytecode, sys.pycache_prefix = False, None
        sys.path.insert(0, folder)
        import _ipctrace  # type: ignore[import-not-found]
    finally:
        sys.dont_write_bytecode, sys.pycache_prefix = bytecode, prefix
        sys.path.remove(folder)
        sys.path_importer_cache.pop(folder, None)
        # Out of the program's sight, and out of the interpreter's when it clears modules at its end: streams are
        # flushed after that.
        for name in [name for name in sys.modules if name.partition(".")[0] == "_ipctrace"]:
            del sys.modules[name]
    _ipctrace.start(run)


if __name__ == "sitecustomize":
    _folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [_entry for _entry in sys.path if os.path.abspath(_entry) != _folder]
    try:
        _begin(_folder)
    except Exception:  # the program runs unrecorded, and is shown as a process that isn't traced
        pass
    # The sitecustomize that we shadow runs now, as if we weren't there; without one, the import fails as it would.
    sys.modules.pop(__name__, None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        if error.name != __name__:
            raise
        raise ImportError("No module named 'sitecustomize'", name=__name__) from None
