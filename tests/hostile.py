"""A run whose every text tries to break out of the page: payload, argv, names, paths, source lines."""

from ipctrace.tracer.schema import Trace

from .builders import TraceBuilder

HOSTILE = "</script><img src=x onerror=\"alert('broken out')\">"
OVERRIDE = "\u202e"


def hostile_trace() -> Trace:
    """Two processes with hostile names exchange hostile bytes at hostile lines; one is a thread with a hostile name."""
    build = TraceBuilder()
    text = f"{HOSTILE}{OVERRIDE}"
    parent = build.process(text)
    build.rows["processes"][0] |= {"argv": ["python", text, "\udcff"], "cwd": f"/{text}", "executable": f"/bin/{text}"}
    pipe = build.pipe(parent)
    site = build.site(f"/work/{HOSTILE.replace('/', '')}.py", 7, f"os.write(fd, {text!s})")
    child = build.fork(parent, program=f"child {text}")
    build.thread(build.process_of(child), name=f"thread {text}")
    for payload in (text.encode(), b"\xff\xfe\x00" + HOSTILE.encode(), b"plain\n"):
        waiting = build.begin(child, "os.read", fd=pipe.reader, size=200, site=site)
        build.after(3_000_000)
        build.write(parent, pipe.writer, payload, site=site)
        build.end(waiting, data=payload)
    build.after(2_000_000)
    return build.trace(ended="exit", status=0, program=text, command=["python", text], notes=[text], cwd=f"/{text}")
