# SPDX-License-Identifier: MIT
"""Stores that fail on demand, before they have done anything, as a full or broken disk makes them."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

from awala.base.errors import AwalaError
from awala.base.files import StorageError

ANY = "*"
"""Stands for every method."""


class Faulty:
    """A spool or vault of which calls fail as planned; its session keys' are named ``session_keys.METHOD``.

    ``calls`` counts the calls since the last plan began, ``failed`` those that failed.
    """

    def __init__(self, store: Any) -> None:
        self.store = store
        self.calls: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._plans: list[tuple[str, range, AwalaError]] = []

    def arm(self, *plans: tuple[str, range], error: AwalaError | None = None) -> None:
        """Fail those calls of each method, counted from now: ``("lease", range(1, 3))`` are the first two."""
        self.calls.clear()
        self.failed.clear()
        fault = error or StorageError("the disk does not answer")
        self._plans = [(method, calls, fault) for method, calls in plans]

    def disarm(self) -> None:
        self._plans = []

    def _note(self, method: str) -> None:
        self.calls[method] += 1
        for planned, calls, fault in self._plans:
            if planned in {method, ANY} and self.calls[method] in calls:
                self.failed[method] += 1
                raise fault

    @property
    def session_keys(self) -> _Part:
        return _Part(self, self.store.session_keys, "session_keys.")

    def __getattr__(self, name: str) -> Any:
        return _Part(self, self.store, "").wrapped(name)


class _Part:
    def __init__(self, faulty: Faulty, store: Any, prefix: str) -> None:
        self._faulty = faulty
        self._store = store
        self._prefix = prefix

    def wrapped(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute

        async def call(*arguments: Any, **named: Any) -> Any:
            self._faulty._note(self._prefix + name)
            return await attribute(*arguments, **named)

        return call

    def __getattr__(self, name: str) -> Any:
        return self.wrapped(name)
