"""A source under trial: what a file would be after a change, in its place, while the file itself stays as it is.

`ipctrace fix` puts the changed texts into the run's folder; in any other run that file isn't there, and this module is
not loaded. The program can't tell but by reading its own source: `__file__`, `sys.path`, relative paths, what lies
beside it and line numbers are those of the file that stands in its place. A copy of the program in another folder would
have none of that, and its children, which are found beside it, would be the old ones.

A module is given its text where importlib asks for its code, past any bytecode that is cached; what `runpy` and
multiprocessing's spawn run by path, where they open it. The main script is opened by C, which can't be told otherwise.
But before it does, the interpreter asks sys.path_hooks whether that path is a folder or an archive to be run (so does
PyPy's): we say that this one is, and give runpy its code. Its frames then lie below the script's.
"""

from __future__ import annotations

import io
import marshal
import os
import sys


def begin(file):
    """Put texts in their files' places, from now on, in this process and the children of its forks.

    `file` holds them by real path, as bytes, marshalled.
    """
    with io.open(file, "rb") as stream:
        texts = marshal.loads(stream.read())
    names = {os.path.basename(path) for path in texts}
    realpath, basename = os.path.realpath, os.path.basename

    def text_of(path):
        try:
            return texts.get(realpath(path)) if basename(path) in names else None
        except (TypeError, ValueError):
            return None

    _main(text_of)
    _imported(text_of)
    _opened(text_of)


def _main(text_of):
    spec = sys.modules["_frozen_importlib"].ModuleSpec

    class Script:
        """Finder and loader of __main__ for the one path that is the script."""

        def __init__(self, path):
            self.text = text_of(path)
            if self.text is None or not os.path.isfile(path):
                raise ImportError(path)
            self.path = path

        def find_spec(self, name, target=None):
            return (
                spec(name, self, origin=self.path) if name == "__main__" else None
            )  # imports nothing: it is asked for all

        def get_code(self, name):
            code = _as_script(self.text, self.path)
            sys.path_hooks.remove(Script)
            sys.path_importer_cache.pop(self.path, None)
            if getattr(sys.flags, "safe_path", False) or sys.flags.isolated:
                sys.path.remove(self.path)
            else:  # where the interpreter would have put the script's folder
                sys.path[sys.path.index(self.path)] = os.path.dirname(os.path.realpath(self.path))
            return code

    sys.path_hooks.insert(0, Script)


def _as_script(text, path):
    """The code of a script. runpy gives __main__ a spec, which a script hasn't, and by which multiprocessing's spawn
    would look for a module of that name: the first thing that the code does is to take it away."""
    import ast

    tree = ast.parse(text, path)
    at = 0
    for node in tree.body:
        docstring = at == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        at += 1
    tree.body[at:at] = ast.parse("__spec__ = __package__ = None").body
    return compile(tree, path, "exec", dont_inherit=True)


def _imported(text_of):
    loader = sys.modules["_frozen_importlib_external"].SourceLoader
    original = loader.get_code

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        text = text_of(path)
        return original(self, fullname) if text is None else self.source_to_code(text, path)

    loader.get_code = get_code


def _opened(text_of):
    original = io.open_code

    def open_code(path):
        text = text_of(path)
        return original(path) if text is None else io.BytesIO(text)

    io.open_code = open_code
