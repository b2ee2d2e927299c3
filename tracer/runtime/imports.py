"""Modules that the program hasn't imported are wrapped when it imports them, not before: start-up stays cheap."""

from __future__ import annotations

import sys


class Finder:
    """First in sys.meta_path: finds nothing itself, but wraps the few modules of its table after they were loaded."""

    def __init__(self, runtime, patches):
        self.runtime, self.patches = runtime, patches  # module name → [function(runtime, module)]

    def begin(self):
        """Wrap what has been imported already, and wait for the rest."""
        for name in list(self.patches):
            if name in sys.modules:
                self._apply(name, sys.modules[name])
        sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        """The spec that the other finders give, with a loader that calls us once."""
        if name not in self.patches:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None and finder is not self else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self)
                return spec
        return None

    def _apply(self, name, module):
        for patch in self.patches.pop(name, ()):
            try:
                patch(self.runtime, module)
            except Exception:  # another version, another module of that name: it stays as it is
                pass


class _Loader:
    """The module's own loader, which hands itself back when it has done its work."""

    def __init__(self, loader, finder):
        self.loader, self.finder = loader, finder

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.finder._apply(module.__name__, module)

    def __getattr__(self, name):
        return getattr(self.loader, name)
