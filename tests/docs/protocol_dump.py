# SPDX-License-Identifier: MIT
"""Draws the octets of the protocol's examples: in hexadecimal, and element by element with its meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from awala.asn1 import Element, der, parse, values

OCTETS_PER_LINE = 32
MOST_OCTETS_WHOLE = 512
"""A longer example is shown element by element only."""

SHORT = 20
"""Octets of a value that is shown whole."""

LONGEST_TEXT = 72


@dataclass(frozen=True, slots=True)
class Part:
    """What one element means, and what is in it."""

    meaning: str
    parts: tuple[Part, ...] = ()
    each: Part | None = None
    """What every element inside means, where their number is free."""
    inside: Part | None = None
    """What the octets of a string hold, where that is shown."""
    kind: int | None = None
    """The universal type under an implicit tag, where the value needs it to be read."""
    closed: bool = False
    """Whether only the element's length is shown."""


def part(meaning: str, *parts: Part, **options: object) -> Part:
    """Return what an element means."""
    return Part(meaning, parts, **options)


def renamed(known: Part, meaning: str) -> Part:
    """Return the same element under another meaning."""
    return replace(known, meaning=meaning)


def hexadecimal(octets: bytes) -> str:
    """Return all octets, 32 in a line."""
    lines = (octets[at : at + OCTETS_PER_LINE].hex() for at in range(0, len(octets), OCTETS_PER_LINE))
    return "\n".join(lines)


def dump(octets: bytes, meaning: Part, *, prefix: int = 0) -> str:
    """Return a table of the elements: offset, tag, length of the contents, meaning and value.

    ``prefix`` octets of an Awala prefix stand before the first element.
    """
    rows = list(_rows(parse(octets[prefix:]), meaning, prefix, 0))
    if prefix:
        head = octets[:prefix]
        text = f'prefix: "{head[:5].decode()}", type 0x{head[5]:02x}, version {head[6]}'
        rows.insert(0, (0, 0, "", prefix, text))
    width = max(2 * depth + len(tag) for _, depth, tag, _, _ in rows)
    lines = ["offset  " + f"{'tag':<{width}}" + "  length  meaning"]
    for offset, depth, tag, length, text in rows:
        lines.append(f"{offset:6}  {'  ' * depth + tag:<{width}}  {length:6}  {text}")
    return "\n".join(lines)


def _rows(element: Element, meaning: Part, base: int, depth: int) -> Iterator[tuple[int, int, str, int, str]]:
    offset = base + element.start
    tag = f"{element.identifier:02x}"
    length = len(element.content)
    if not element.is_constructed and meaning.inside is not None:
        yield offset, depth, tag, length, meaning.meaning
        within = base + element.content_start
        yield from _rows(parse(bytes(element.content)), meaning.inside, within, depth + 1)
        return
    if not element.is_constructed:
        value = "" if meaning.closed else _value(element, meaning.kind or element.identifier)
        yield offset, depth, tag, length, f"{meaning.meaning}: {value}" if value else meaning.meaning
        return
    yield offset, depth, tag, length, meaning.meaning
    if meaning.closed:
        return
    children = element.children()
    wanted = meaning.parts if meaning.each is None else (meaning.each,) * len(children)
    if len(children) != len(wanted):
        message = f"{meaning.meaning!r} holds {len(children)} elements where {len(wanted)} are explained"
        raise ValueError(message)
    for child, explained in zip(children, wanted, strict=True):
        yield from _rows(child, explained, base, depth + 1)


def _value(element: Element, kind: int) -> str:
    content = bytes(element.content)
    if kind in _SHOWN:
        return _SHOWN[kind](content)
    if not content:
        return "empty"
    if content.isascii() and content.decode("ascii").isprintable():
        return _quoted(content.decode("ascii"))
    return content.hex() if len(content) <= SHORT else f"{content[:8].hex()}…{content[-4:].hex()}"


def _quoted(text: str) -> str:
    return f'"{text}"' if len(text) <= LONGEST_TEXT else f'"{text[:LONGEST_TEXT]}…"'


_SHOWN: Final[dict[int, Callable[[bytes], str]]] = {
    der.OBJECT_IDENTIFIER: values.oid_from,
    der.INTEGER: lambda content: str(int.from_bytes(content, signed=True)),
    der.BOOLEAN: lambda content: str(content != b"\0").lower(),
    der.NULL: lambda _: "",
    der.BMP_STRING: lambda content: _quoted(content.decode("utf-16-be")),
}
"""How values of these types are shown; all others as text if they are one, else in hexadecimal."""
