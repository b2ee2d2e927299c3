"""Where in the program's own source a call was made.

The site is the first frame, outwards from the call, that belongs to the program: not to us, not to the standard
library, not to an installed package unless the program itself lies there. One dictionary look-up a frame: what a code
object belongs to, and the sites within it, are remembered under the object's id (hashing a code object hashes all of
its constants).
"""

from __future__ import annotations

import os
import sys
from itertools import count, islice
from sys import _getframe

from . import table

_OWN, RUNTIME, _PACKAGE, LIBRARY = "own", "runtime", "package", "library"
_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep  # with the file that loads us
_STANDARD = os.path.dirname(os.__file__) + os.sep
MARK = "<ipctrace>"  # what a code object of ours is called that has the file of the program, or of the library
CODES: set = set()  # ids of those that need a name of their own, too (coroutines.py); they are never freed
_MOST_CODES = 50_000  # a program that compiles code in a loop must not make us keep all of it


class Sites:
    """Interns call sites as numbers from 1 and defines each in the log before its first use."""

    def __init__(self, log):
        self.log = log
        self.clear()

    def clear(self):
        """Forget everything: in a new log every site must be defined anew."""
        self.codes = {}  # id of a code object → {instruction: site} if it is the program's, else whose it is
        self.kept = []  # the code objects, so that no id is used twice
        self.others = {}
        self.numbers = count(1)  # `+= 1` would give two threads the same number

    def mark(self):
        """Where the program's call came from, as `at` takes it: a third of the cost of `here`, defined only if needed.

        The innermost frame that isn't ours and isn't the standard library's, as for `here`.
        """
        frame = _getframe(1).f_back
        codes = self.codes
        while frame is not None:
            known = codes.get(id(frame.f_code))
            if known is None:
                known = self._learn(frame.f_code)
            if type(known) is dict:
                return frame.f_code, frame.f_lasti, frame.f_lineno
            frame = frame.f_back
        return ()

    def whose(self, code):
        """Whose a code object is: RUNTIME, LIBRARY, or another value."""
        known = self.codes.get(id(code))
        return self._learn(code) if known is None else known

    def at(self, code, instruction, line=None):
        """The site of a place that `mark` gave, in this log. `line`: None where it wasn't worth asking at the time."""
        known = self.whose(code)
        if type(known) is not dict:
            return 0
        site = known.get(instruction)
        if site is None:
            line = _line(code, instruction) if line is None else line
            site = known[instruction] = self._define(code, instruction, line)
        return site

    def of(self, frame):
        """The site of the innermost frame from `frame` outwards that is the program's; 0 if there is none."""
        while frame is not None:
            site = self.at(frame.f_code, frame.f_lasti, frame.f_lineno)
            if site:
                return site
            frame = frame.f_back
        return 0

    def here(self):
        """The site of the program's call that led to the calling wrapper; 0 where no Python code did (at exit)."""
        frame = _getframe(1).f_back
        codes = self.codes
        while frame is not None:
            known = codes.get(id(frame.f_code))
            if known is None:
                known = self._learn(frame.f_code)
            if type(known) is dict:
                site = known.get(frame.f_lasti)
                if site is None:
                    site = known[frame.f_lasti] = self._define(frame.f_code, frame.f_lasti, frame.f_lineno)
                return site
            frame = frame.f_back
        return self._fallback(_getframe(1).f_back)

    def _fallback(self, frame):
        """No frame is the program's own: an installed package's, else the standard library's innermost."""
        best = None
        while frame is not None:
            owner = self.codes.get(id(frame.f_code))
            if owner == _PACKAGE:
                best = frame
                break
            if owner == LIBRARY and best is None:
                best = frame
            frame = frame.f_back
        if best is None:
            return 0
        key = id(best.f_code), best.f_lasti
        site = self.others.get(key)
        if site is None:
            site = self.others[key] = self._define(best.f_code, best.f_lasti, best.f_lineno)
        return site

    def _learn(self, code):
        if len(self.kept) >= _MOST_CODES:
            self.codes.clear()
            self.kept.clear()
            self.others.clear()
        if code.co_name == MARK:  # most are made for one call: that's not worth remembering
            return RUNTIME
        self.kept.append(code)
        owner = RUNTIME if is_ours(code) else _owner(code.co_filename)
        self.codes[id(code)] = known = {} if owner is _OWN else owner
        return known

    def _define(self, code, instruction, line):
        number = next(self.numbers)
        name = getattr(code, "co_qualname", None) or code.co_name
        column, end_line, end_column = -1, -1, -1
        positions = getattr(code, "co_positions", None)
        if positions is not None and instruction >= 0:
            found = next(islice(positions(), instruction // 2, None), None)
            if found is not None and None not in found:
                _, end_line, column, end_column = found
        self.log.define(
            table.SITE, os.path.abspath(code.co_filename) if code.co_filename[:1] != "<" else code.co_filename,
            name, line or 0, column, end_line, end_column, site=number,
        )  # fmt: skip
        return number


def is_ours(code):
    """Whether a code object is the runtime's own, wherever it says that it stands."""
    return code.co_filename.startswith(_HERE) or code.co_name == MARK or id(code) in CODES


def _line(code, instruction):
    """The line of an instruction."""
    if hasattr(code, "co_lines"):
        return next((line for start, end, line in code.co_lines() if start <= instruction < end), 0)
    line, at = code.co_firstlineno, 0  # before 3.10: see Objects/lnotab_notes.txt of CPython
    for step, more in zip(code.co_lnotab[::2], code.co_lnotab[1::2]):  # noqa: B905
        at += step
        if at > instruction:
            break
        line += more - 256 if more > 127 else more
    return line


def _owner(file):
    """Whose a source file is. The main program's own folder wins over what it lies in: the longest path decides."""
    if file.startswith("<frozen"):
        return LIBRARY
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if main is not None:
        if file == "<string>":  # what the library compiles (namedtuple, multiprocessing.Value); `-c` has no file
            return LIBRARY
        main = os.path.abspath(main)
        file = os.path.abspath(file)
        folder = os.path.dirname(main) + os.sep
        if file == main or (file.startswith(folder) and not _STANDARD.startswith(folder)):
            return _OWN
    if not file.startswith(_STANDARD):
        return _PACKAGE if "site-packages" in file or "dist-packages" in file else _OWN
    return _PACKAGE if "site-packages" in file[len(_STANDARD) :] else LIBRARY
