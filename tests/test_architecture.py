"""Imports run one way, the runtime is light, and nothing at the top is installed but `ipctrace`."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FOLDERS: dict[str, str] = SETTINGS["tool"]["setuptools"]["package-dir"]

# What each room may import of the others. `schema` and `errors` are the tracer's public words.
WORDS = {"ipctrace.tracer.schema", "ipctrace.tracer.errors"}
ROOMS: dict[str, set[str]] = {
    "tracer": {"ipctrace.tracer"},
    "analysis": {"ipctrace.analysis", *WORDS},
    "reports": {"ipctrace.reports", "ipctrace.analysis", *WORDS},
    "ipctrace": {"ipctrace"},
}

# What the runtime may import as a program starts; anything more would cost every traced process its time.
LIGHT = {"__future__", "_codecs", "_thread", "builtins", "_frozen_importlib", "_signal", "errno", "io", "itertools", "mmap", "os", "posix", "stat", "_struct", "_weakref", "marshal", "sys", "time"}
OURS = {"_ipctrace", "sitecustomize"}  # the runtime itself, and the file that ours shadows


def modules(room: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of every module of a room."""
    base = "ipctrace" if room == "ipctrace" else f"ipctrace.{room}"
    for path in sorted((ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT / room).with_suffix("").parts
        yield ".".join([base, *parts]).removesuffix(".__init__"), path


def imports(name: str, path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, as a full dotted name."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def inside(name: str, allowed: set[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in allowed)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    wrong = [
        f"{name} imports {imported}"
        for name, path in modules(room)
        for imported in imports(name, path)
        if inside(imported, {"ipctrace"}) and not inside(imported, ROOMS[room])
    ]
    assert not wrong


@pytest.mark.parametrize("room", ["analysis", "reports"])
def test_pure_rooms_touch_no_system(room: str) -> None:
    system = {"os", "subprocess", "socket", "shutil", "tempfile", "pathlib.Path"}
    assert not [each for each in crossing(room, system) if not each.endswith(" os.path.commonprefix")]


def test_the_analysis_draws_nothing() -> None:
    assert not crossing("analysis", {"plotly", "rich", "typer"})


def crossing(room: str, others: set[str]) -> list[str]:
    """Which of a room's modules import what they shouldn't."""
    return [
        f"{name} imports {each}" for name, path in modules(room) for each in imports(name, path) if inside(each, others)
    ]


def test_the_runtime_is_the_standard_library() -> None:
    names = {each.split(".")[0] for _, path in runtime() for each in absolute(path)}
    assert names - OURS <= sys.stdlib_module_names | {"__pypy__"}


def test_the_runtime_starts_light() -> None:
    """What its modules import when they are loaded; functions may import more, when they are called."""
    heavy = {
        f"{path.name}: {each}"
        for _, path in runtime()
        for each in absolute(path, top=True)
        if each.split(".")[0] not in LIGHT | OURS
    }
    assert not heavy


def runtime() -> list[tuple[str, Path]]:
    found = [(name, path) for name, path in modules("tracer") if path.parent.name == "runtime"]
    assert found
    return found


def absolute(path: Path, top: bool = False) -> Iterator[str]:
    """Modules imported by their own name; `top`: only as the file is loaded."""
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
    for node in loaded(tree) if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module)


def loaded(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is loaded: all but what is inside functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from loaded(child)


def test_every_folder_with_code_is_a_package() -> None:
    packages = {
        name.removesuffix(".__init__") for room in ROOMS for name, path in modules(room) if path.name == "__init__.py"
    }
    assert packages == set(SETTINGS["tool"]["setuptools"]["packages"]) == set(FOLDERS)
    assert all((ROOT / folder / "__init__.py").is_file() for folder in FOLDERS.values())


def test_type_checkers_see_the_installed_tree() -> None:
    """`.typing/ipctrace` links to everything that lies in ipctrace/, and to the other rooms."""
    links = {path.name: path.resolve() for path in (ROOT / ".typing" / "ipctrace").iterdir()}
    wanted = {path.name: path.resolve() for path in (ROOT / "ipctrace").iterdir() if path.name != "__pycache__"}
    assert links == wanted | {room: ROOT / room for room in ROOMS if room != "ipctrace"}


def test_nothing_but_ipctrace_is_installed() -> None:
    top = importlib.metadata.distribution("ipctrace").read_text("top_level.txt")
    assert (top or "").split() == ["ipctrace"]


def test_a_wheel_holds_nothing_but_ipctrace(tmp_path: Path) -> None:
    """Built from a copy, so that nothing is left in the tree, and without the network."""
    found = importlib.metadata.version("setuptools") if importlib.util.find_spec("setuptools") else "0"
    if int(found.split(".")[0]) < 77:
        pytest.skip(f"setuptools 77 builds it, here is {found}")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ["pyproject.toml", "MANIFEST.in", "README.md", ".packaging", *ROOMS]:
        subprocess.run(["cp", "-R", str(ROOT / name), str(copy)], check=True)
    options = ["--no-deps", "--no-index", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(copy)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        listed = next(archive.read(name).decode() for name in names if name.endswith(".dist-info/RECORD"))
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"ipctrace", "ipctrace.pth"}
    assert {line.split(",")[0] for line in listed.splitlines()} == set(names), "what is listed is removed on uninstall"
    sources = {f"{name.replace('.', '/')}" for room in ROOMS for name, _ in modules(room)}
    assert sources <= {name.removesuffix(".py").removesuffix("/__init__") for name in names}
    assert any(name.startswith("ipctrace/reports/assets/") for name in names)
    assert "ipctrace/py.typed" in names
