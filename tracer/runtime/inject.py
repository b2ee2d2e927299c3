"""Copied into the run's folder as sitecustomize.py, first on PYTHONPATH: how every Python child is reached.

Loads the runtime beside it, takes that folder off sys.path again, and gives way to the sitecustomize that it shadows,
or to none. Never raises into the program. A Python that ignores PYTHONPATH gets here through ipctrace.pth.

The runtime's modules come out of one file with the bytecode of all of them, made by the first process of each
interpreter version: a third of the time that twelve imports take, and the program's import system is not touched.
"""

import marshal
import os
import sys

# What is loaded at once, in the order in which it can be.
MODULES = (
    "table", "log", "sites", "addresses", "calls", "terminals", "descriptors", "objects", "layers", "files", "streams",
    "builtin", "threads", "signals", "processes", "tracebacks", "decoders", "locks", "filelocks", "tracing", "auditing",
    "clocks", "imports", "options", "__init__",
)  # fmt: skip
# What is loaded when the program imports what it wraps, and what it needs of these: most programs need little of it.
LATER = {
    "conditions": (), "queues": ("conditions",), "futures": ("conditions",), "readiness": (), "socketfiles": (),
    "sockets": ("socketfiles",), "memory": (), "multiprocess": (), "coroutines": (), "asynchronous": ("coroutines",),
    "gate_chance": (), "gate_locks": (), "gate_names": (), "gate": ("gate_chance", "gate_locks", "gate_names"),
    "remedies": (),
    "player_table": (), "player_tape": ("player_table",), "player_names": ("player_table",), "player_files": (),
    "player_locks": (), "player_sockets": (), "player_ready": (), "player_time": (), "player_debug": (),
    "player_ends": ("player_table", "player_debug"),
    "player_system": ("player_files", "player_locks", "player_ready", "player_sockets", "player_time"),
    "player": ("player_tape", "player_names", "player_ends", "player_system"),
}  # fmt: skip
PACKAGE = "_ipctrace"


def bundle(folder: str) -> "dict[str, bytes]":
    """The bytecode of each module in `folder`/_ipctrace, by name; kept in a file there for this version of Python."""
    path = os.path.join(folder, PACKAGE, "%s.bytecode" % sys.implementation.cache_tag)
    try:
        with open(path, "rb") as file:
            codes: "dict[str, bytes]" = marshal.loads(file.read())
            return codes  # marshal.load would read the file in small bites: 5 ms
    except (OSError, EOFError, ValueError, TypeError):
        pass
    codes = {}
    for name in (*MODULES, *LATER):
        source = os.path.join(folder, PACKAGE, name + ".py")
        with open(source, "rb") as file:
            # without docstrings: what isn't there needn't be read at each start
            codes[name] = marshal.dumps(compile(file.read(), source, "exec", dont_inherit=True, optimize=2))
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
    kind, codes = type(sys), bundle(folder)
    package = kind(PACKAGE)
    package.__path__ = []
    loaded = {PACKAGE: package}

    def run(name):
        module = package
        if name != "__init__":
            module = loaded[PACKAGE + "." + name] = kind(PACKAGE + "." + name)
            setattr(package, name, module)
        module.__package__ = PACKAGE
        module.__file__ = os.path.join(folder, PACKAGE, name + ".py")
        sys.modules.update(loaded)
        try:
            exec(marshal.loads(codes[name]), module.__dict__)
        finally:
            for each in loaded:
                sys.modules.pop(each, None)
        return module

    def later(name):
        if PACKAGE + "." + name not in loaded:
            for needed in LATER[name]:
                later(needed)
            run(name)
        return loaded[PACKAGE + "." + name]

    known = "mmap" in sys.modules or sys.implementation.name != "cpython"
    for name in MODULES:
        run(name)
    if not known:
        # the log's own: the program, which hasn't imported it, gets one of its own, and then it is wrapped
        sys.modules.pop("mmap", None)
    package.__dict__["later"] = later
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
        if os.path.exists(os.path.join(os.path.dirname(_folder), "script")):
            os._exit(71)  # a replay: what isn't played must not be done in earnest

if __name__ == "sitecustomize":
    # The sitecustomize that we shadow runs now, as if we weren't there; without one, the import fails as it would.
    sys.modules.pop(__name__, None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        if error.name != __name__:
            raise
        raise ImportError("No module named 'sitecustomize'", name=__name__) from None
