"""What is imported as soon as another module has been: how we register with libraries without importing them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from itertools import dropwhile
from types import ModuleType
from typing import Any

__all__ = ["import_when_imported"]


def import_when_imported(module: str, follower: str) -> None:
    """Import one module as soon as another one has been: at once, where that is there already.

    Said twice, it counts once, and an import that fails half-way may be tried again. Whoever reloads `module` later
    does not run `follower` again.

    Args:
        module: full name of the module that is waited for, as ``timm``. It is not imported here.
        follower: full name of the module that is imported after it.

    Raises:
        Exception: what importing `follower` raises. Where it had to wait, importing `module` raises that.
    """
    finder = _Finder(module, follower)
    if finder not in sys.meta_path:
        sys.meta_path.insert(0, finder)
    if module in sys.modules:
        __import__(follower)


@dataclass(frozen=True)
class _Finder(MetaPathFinder):
    """Finds `module` as the finders behind it do, with a loader that lets `follower` follow."""

    module: str
    follower: str

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        behind = list(dropwhile(lambda finder: finder is not self, sys.meta_path))[1:]
        finders = (getattr(finder, "find_spec", None) for finder in behind)  # an old one may have none
        found = (find(fullname, path, target) for find in finders if find is not None)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self.follower)
        return spec


class _Loader:
    """The loader of a module, in all but that `follower` is imported after it."""

    def __init__(self, loader: Any, follower: str) -> None:
        self._loader = loader
        self._follower = follower

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_loader":  # while it is being copied
            raise AttributeError(name)
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self._loader  # the module never knows of this one
        self._loader.exec_module(module)
        __import__(self._follower)  # importlib.import_module can fail where another thread is importing it, too
