"""A run whose every text tries to break out of the page: payload, argv, environment, names, paths, source lines."""

from ipctrace.tracer.schema import Trace

from .builders import TraceBuilder

HOSTILE = "</script><img src=x onerror=\"alert('broken out')\">"
OVERRIDE = "\u202e"
# What tries to do what
TEXTS = {
    "ends the script": HOSTILE,
    "is an image": "<img src=x onerror=alert(1)>",
    "ends an attribute": "\"' onmouseover=alert(1) x='",
    "is a template": "${alert(1)} {{7*7}} $verdict",
    "is a comment": "<!--<script>",
    "paints a terminal": "\x1b[31m\x1b]0;title\x07\x1b[2J\x9b31m",
    "is empty to C": "before\x00after",
    "turns round": "\u202efdp.exe\u2066\u200f",
    "hides": "zero\u200bwidth\ufeff\u00ad",
    "is half a character": "\udcff\ud83d",
    "is a link": "javascript:alert(1)",
    "breaks lines": "one\r\ntwo\u2028three\u0085four\x0b",
    "combines": "e" + "\u0301" * 400,
}


def hostile_trace(text: str = f"{HOSTILE}{OVERRIDE}") -> Trace:
    """Two processes with hostile names exchange hostile bytes at hostile lines; one is a thread with a hostile name."""
    build = TraceBuilder()
    raw = text.encode("utf-8", "surrogatepass")
    parent = build.process(text)
    build.rows["processes"][0] |= {"argv": ["python", text, "\udcff"], "cwd": f"/{text}", "executable": f"/bin/{text}"}
    pipe = build.pipe(parent)
    build.channel("file", path=f"/{text}")
    site = build.site(f"/work/{text.replace('/', '')}.py", 7, f"os.write(fd, {text!s})", function=text)
    build.stream(build.process_of(parent), text, pipe.writer)
    build._add("environment", process=0, time=0, name=text, value=text)
    child = build.fork(parent, program=f"child {text}")
    build.thread(build.process_of(child), name=f"thread {text}")
    for payload in (raw, b"\xff\xfe\x00" + raw, b"plain\n"):
        waiting = build.begin(child, "os.read", fd=pipe.reader, size=len(payload), site=site)
        build.after(3_000_000)
        build.write(parent, pipe.writer, payload, site=site)
        build.end(waiting, data=payload)
    build.after(2_000_000)
    return build.trace(ended="exit", status=0, program=text, command=["python", text], notes=[text], cwd=f"/{text}")


def hostile_deadlock(text: str) -> Trace:
    """Two processes with hostile names that wait for each other at hostile lines, and hostile bytes that are stuck."""
    build = TraceBuilder()
    parent = build.process(text)
    pipes = [build.pipe(parent) for _ in range(2)]
    child = build.fork(parent, program=f"child {text}", keep=(pipes[0].reader, pipes[1].writer))
    build.close(parent, pipes[0].reader, pipes[1].writer)
    out = build.stream(build.process_of(parent), text, pipes[0].writer)
    say = build.site(f"/work/{text.replace('/', '')}.py", 7, f"print({text})")
    wait = build.site(f"/work/{text.replace('/', '')}.py", 8, f"input({text})")
    build.accept(parent, out, text.encode("utf-8", "surrogatepass"), site=say)
    build.begin(child, "os.read", fd=pipes[0].reader, channel=pipes[0].channel, size=32, site=wait)
    build.begin(parent, "os.read", fd=pipes[1].reader, channel=pipes[1].channel, size=32, site=wait)
    build.after(50_000_000)
    build.look(2)
    return build.trace(ended="deadlock", status=None, program=text, command=["python", text], notes=[text])
