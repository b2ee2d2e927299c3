"""A coroutine function in the place of another one.

It must be one itself (inspect.iscoroutinefunction); it must refuse wrong arguments when it is called, not when it is
awaited; and a task may be made of nothing but its coroutine, as in create_task(queue.get()): then its file and line
stand in the task's repr, in Task.print_stack and in "Task was destroyed but it is pending". So its code has the
parameters and the file of the original, and begins and awaits at the same lines.
"""

from __future__ import annotations

import sys

from .calls import like
from .sites import CODES

_TEXT = (
    "{above}async def {name}({parameters}):\n"
    "{between}    _args, _kwargs = ({positional}), {{{keywords}}}; _wait = _enter(_args, _kwargs)\n"
    "    try: _result = await _original(*_args, **_kwargs)\n"
    "    except BaseException as _error: _fail(_wait, _error); raise\n"
    "    _leave(_wait, _args, _result); return _result\n"
)
_STAR, _STARS = 4, 8  # CO_VARARGS, CO_VARKEYWORDS


def replacement(original, enter, leave, fail, which):
    """A coroutine function that calls `original` between enter(args, kwargs) → wait, and leave(wait, args, result) or
    fail(wait, error). `which` of the original's awaits it is mostly suspended in."""
    code = original.__code__
    begin = code.co_firstlineno
    text = _TEXT.format(
        above="\n" * (begin - 1), name=original.__name__, between="\n" * max(_awaits(code, which) - begin - 2, 0),
        **_parameters(original),
    )  # fmt: skip
    scope = {"_original": original, "_enter": enter, "_leave": leave, "_fail": fail, "__name__": original.__module__}
    exec(compile(text, code.co_filename, "exec"), scope)
    function = scope[original.__name__]
    function.__defaults__, function.__kwdefaults__ = original.__defaults__, original.__kwdefaults__
    CODES.add(id(function.__code__))
    return like(original, function)


def _parameters(function):
    """A function's parameters as text: to declare, and to hand on by position and by name."""
    code, defaults, named = function.__code__, function.__defaults__ or (), function.__kwdefaults__ or {}
    names, count, more = code.co_varnames, code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    rest = iter(names[more:])
    declared = [name + ("=None" if at >= count - len(defaults) else "") for at, name in enumerate(names[:count])]
    positional, keywords = [name + ", " for name in names[:count]], ["%r: %s, " % (n, n) for n in names[count:more]]
    if code.co_flags & _STAR:
        name = "*" + next(rest)
        positional.append(name)
        declared.append(name)
    elif keywords:
        declared.append("*")
    declared += [name + ("=None" if name in named else "") for name in names[count:more]]
    if code.co_flags & _STARS:
        name = "**" + next(rest)
        keywords.append(name)
        declared.append(name)
    return {"parameters": ", ".join(declared), "positional": "".join(positional), "keywords": "".join(keywords)}


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
