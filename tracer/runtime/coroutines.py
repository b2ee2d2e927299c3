"""A coroutine function in the place of another one.

It must be one itself (inspect.iscoroutinefunction), and a task may be made of nothing but its coroutine, as in
create_task(queue.get()): then its file and line stand in the task's repr, in Task.print_stack and in "Task was
destroyed but it is pending". So its code has the file of the original, and begins and awaits at the same lines.
"""

from __future__ import annotations

import sys

from .calls import like

CODES: set = set()  # ids of code objects of ours that don't look like it; they are never freed
_TEXT = (
    "{above}async def {name}(*args, **kwargs):\n"
    "{between}    wait = _enter(args, kwargs)\n"
    "    try: result = await _original(*args, **kwargs)\n"
    "    except BaseException as error: _fail(wait, error); raise\n"
    "    _leave(wait, args, result); return result\n"
)


def replacement(original, enter, leave, fail, which):
    """A coroutine function that calls `original` between enter(args, kwargs) → wait, and leave(wait, args, result) or
    fail(wait, error). `which` of the original's awaits it is mostly suspended in."""
    code = original.__code__
    begin = code.co_firstlineno
    above, between = "\n" * (begin - 1), "\n" * max(_awaits(code, which) - begin - 2, 0)
    scope = {"_original": original, "_enter": enter, "_leave": leave, "_fail": fail, "__name__": original.__module__}
    exec(compile(_TEXT.format(above=above, name=original.__name__, between=between), code.co_filename, "exec"), scope)
    function = scope[original.__name__]
    CODES.add(id(function.__code__))
    return like(original, function)


def _awaits(code, which):
    """The line of an await in a coroutine function's code; of its beginning where that can't be told."""
    dis = sys.modules.get("dis")  # asyncio has imported it, by inspect
    line, found = code.co_firstlineno, []
    try:
        awaiting, starts = dis.opmap["GET_AWAITABLE"], dict(dis.findlinestarts(code))
        bytecode = code.co_code
        for offset in range(0, len(bytecode), 2):
            line = starts.get(offset) or line
            if bytecode[offset] == awaiting:
                found.append(line)
        return found[which]
    except (AttributeError, KeyError, IndexError):
        return code.co_firstlineno
