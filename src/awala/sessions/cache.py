# SPDX-License-Identifier: MIT
"""A small memory of keys that were loaded before, so that they need not be loaded again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LoadedKeys(Generic[K, V]):
    """Remembers the ``size`` values asked for most recently."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: K, load: Callable[[], V]) -> V:
        """Return the value of that name, from memory or else from ``load``."""
        try:
            value = self._values[name]
        except KeyError:
            value = self._values[name] = load()
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        else:
            self._values.move_to_end(name)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
