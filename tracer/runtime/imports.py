"""Modules that the program hasn't imported are wrapped when it imports them, not before: start-up stays cheap.

What the import statement calls for a module that isn't there yet, importlib's _find_and_load, is replaced: it is looked
up by name each time. A finder in sys.meta_path would do too, but every program that lists it would see us there.
"""

from __future__ import annotations

import _frozen_importlib
import sys

from .calls import disguise, like


class Imports:
    """Applies the patches of a table to modules that have just been loaded."""

    def __init__(self, runtime, patches):
        self.runtime, self.patches = runtime, patches  # module name → [function(runtime, module)]

    def begin(self):
        """Wrap what has been imported already, and wait for the rest."""
        for name in list(self.patches):
            if name in sys.modules:
                self._apply(name, sys.modules[name])
        original, patches, apply = _frozen_importlib._find_and_load, self.patches, self._apply

        def _find_and_load(name, import_):
            module = original(name, import_)
            # a circular import gives modules that are still being loaded
            if name in patches and not getattr(getattr(module, "__spec__", None), "_initializing", False):
                apply(name, module)
            return module

        # The interpreter takes frames of importlib's file out of an ImportError's traceback.
        _frozen_importlib._find_and_load = like(original, disguise(_find_and_load, original))

    def _apply(self, name, module):
        for patch in self.patches.pop(name, ()):
            try:
                patch(self.runtime, module)
            except Exception:  # another version, another module of that name: it stays as it is
                pass
