# SPDX-License-Identifier: MIT
"""What a fuzz target is, and the property that most of them have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from awala.base.errors import AwalaError
from awala.messages import InvalidMessageError, MalformedMessageError
from helpers.vectors import DIRECTORY

CORPUS = Path(__file__).parent / "corpus"


def _none() -> Iterable[bytes]:
    return ()


def _nothing(_seeds: Iterable[bytes]) -> None:
    return


@dataclass(frozen=True)
class Target:
    """A parser, or what belongs together, and what must hold whatever octets it is given.

    ``run`` raises if the property is broken. Seeds are vectors, by patterns below ``tests/vectors``,
    what ``made`` returns, and the files in ``corpus/NAME``: there, inputs that once broke something.
    """

    name: str
    run: Callable[[bytes], object]
    vectors: tuple[str, ...] = ()
    made: Callable[[], Iterable[bytes]] = _none
    max_len: int = 4096
    learn: Callable[[Iterable[bytes]], object] = _nothing
    """Takes the seeds that an earlier process made, before ``run`` is called."""

    def seeds(self) -> dict[str, bytes]:
        """Return the seeds by names that are good for files."""
        files = {file for pattern in self.vectors for file in DIRECTORY.glob(pattern)}
        files |= set((CORPUS / self.name).glob("*"))
        named = {f"{file.parent.name}-{file.name}": file.read_bytes() for file in sorted(files)}
        return named | {f"made-{number}": octets for number, octets in enumerate(self.made())}


def reading(
    parse: Callable[[bytes], object],
    serialize: Callable[[object], bytes] | None = None,
    *,
    refusal: type[AwalaError] = MalformedMessageError,
    unwritable: type[AwalaError] = InvalidMessageError,
) -> Callable[[bytes], object]:
    """Return a property: octets are refused as promised, or what they say survives being written.

    Some of what is read may not be written; then there is nothing to compare. The value is returned,
    or None.
    """

    def run(data: bytes) -> object:
        try:
            value = parse(data)
        except refusal:
            return None
        if serialize is not None:
            try:
                octets = serialize(value)
            except unwritable:
                return value
            assert parse(octets) == value, "a value changes when it is written and read"
        return value

    return run
