"""The build backend: setuptools, which can't put a file beside the packages, and ipctrace.pth put there in each wheel.

An editable install is a wheel too, and what a wheel's RECORD lists is removed on uninstall.
"""

from __future__ import annotations

import ast
import base64
import hashlib
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  the other hooks of a backend

_NAME = "ipctrace.pth"


def line() -> bytes:
    """The file: begin.py as one line, which costs a few microseconds where the variable isn't set."""
    tree = ast.parse(Path(__file__).with_name("begin.py").read_text("utf-8"))
    del tree.body[0]  # the docstring
    return f"import os; 'IPCTRACE_RUN' in os.environ and exec({ast.unparse(tree)!a}, {{}})\n".encode("ascii")


def build_wheel(folder: str, *arguments: Any, **settings: Any) -> str:
    """PEP 517's hook."""
    return _completed(folder, build_meta.build_wheel(folder, *arguments, **settings))


def build_editable(folder: str, *arguments: Any, **settings: Any) -> str:
    """PEP 660's hook."""
    return _completed(folder, build_meta.build_editable(folder, *arguments, **settings))


def _completed(folder: str, name: str) -> str:
    wheel, data = Path(folder, name), line()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    whole = wheel.with_suffix(".whole")
    with ZipFile(wheel) as old, ZipFile(whole, "w", ZIP_DEFLATED) as new:
        new.writestr(_NAME, data)
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith(".dist-info/RECORD"):
                content += f"{_NAME},sha256={digest},{len(data)}\n".encode()
            new.writestr(item, content)
    whole.replace(wheel)
    return name
