"""The chapter's programs, shipped as files: `ipctrace record pipes.py` finds them here.

They run under CPython 3.8 and up and under PyPy, whatever ipctrace itself runs under. `CHAPTER_SLEEP` is a factor for
their sleeps: 1 as in the chapter, 0.1 for a tenth of it.
"""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).parent


def programs() -> dict[str, str]:
    """Each program's file name and what it shows (its docstring's first line), in alphabetical order."""
    return {
        path.name: (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n")[0]
        for path in sorted(FOLDER.glob("*.py"))
        if path.name != "__init__.py"
    }
