"""Copied into the run's folder as sitecustomize.py, first on PYTHONPATH: how every Python child is reached.

Loads the runtime beside it, takes that folder off sys.path again, and gives way to the sitecustomize that it shadows,
or to none. Never raises into the program. A Python that ignores PYTHONPATH gets here through ipctrace.pth.

The runtime's modules come out of one file with the bytecode of all of them, made by the first process of each
interpreter version: a third of the time that twelve imports take, and the program's import system is not touched.
"""

import marshal
import os
import sys

# In the order in which they can be loaded
MODULES = (
    "table", "log", "sites", "addresses", "calls", "descriptors", "objects", "layers", "files", "streams", "builtin",
    "threads", "signals", "processes", "coroutines", "tracebacks", "locks", "conditions", "queues", "futures",
    "readiness", "socketfiles", "sockets", "filelocks", "memory", "multiprocess", "asynchronous", "tracing", "auditing",
    "imports", "__init__",
)  # fmt: skip
PACKAGE = "_ipctrace"


def bundle(folder: str) -> "list[tuple[str, object]]":
    """The code of each module in `folder`/_ipctrace, by name; kept in a file there for this version of Python."""
    path = os.path.join(folder, PACKAGE, "%s.bytecode" % sys.implementation.cache_tag)
    try:
        with open(path, "rb") as file:
            codes: "list[tuple[str, object]]" = marshal.loads(file.read())
            return codes  # marshal.load would read the file in small bites: 5 ms
    except (OSError, EOFError, ValueError, TypeError):
        pass
    codes = []
    for name in MODULES:
        source = os.path.join(folder, PACKAGE, name + ".py")
        with open(source, "rb") as file:
            codes.append((name, compile(file.read(), source, "exec", dont_inherit=True)))
    try:
        made = "%s.%d" % (path, os.getpid())
        with open(made, "wb") as file:
            file.write(marshal.dumps(codes))
        os.rename(made, path)  # whole or not at all: others may be starting too
    except OSError:
        pass
    return codes


def _load(folder: str) -> "dict[str, object]":
    """Run the modules as a package, for a moment; returns what the package itself defines.

    They are out of the program's sight afterwards, and out of the interpreter's when it clears modules at its end:
    streams are flushed after that.
    """
    kind = type(sys)
    package = kind(PACKAGE)
    package.__path__ = []
    loaded = {PACKAGE: package}
    try:
        for name, code in bundle(folder):
            module = package
            if name != "__init__":
                module = loaded[PACKAGE + "." + name] = kind(PACKAGE + "." + name)
                setattr(package, name, module)
            module.__package__ = PACKAGE
            module.__file__ = os.path.join(folder, PACKAGE, name + ".py")
            sys.modules.update(loaded)
            exec(code, module.__dict__)  # type: ignore[arg-type]
    finally:
        for name in loaded:
            sys.modules.pop(name, None)
    return package.__dict__


def _begin(folder: str) -> None:
    run = os.environ.get("IPCTRACE_RUN")
    if run and os.path.realpath(folder) == os.path.realpath(os.path.join(run.split(":", 2)[-1], "inject")):
        status = os.stat(folder)
        if status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022:  # nobody else put anything there
            _load(folder)["start"](run)  # type: ignore[operator]
    # else: a PYTHONPATH that has outlived its run


if __name__ in ("sitecustomize", "ipctrace.pth"):
    _folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [_entry for _entry in sys.path if os.path.abspath(_entry) != _folder]
    try:
        _begin(_folder)
    except Exception:  # the program runs unrecorded, and is shown as a process that isn't traced
        pass

if __name__ == "sitecustomize":
    # The sitecustomize that we shadow runs now, as if we weren't there; without one, the import fails as it would.
    sys.modules.pop(__name__, None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        if error.name != __name__:
            raise
        raise ImportError("No module named 'sitecustomize'", name=__name__) from None
