# SPDX-License-Identifier: MIT
"""A tolerant BER reader that looks at one level at a time and copies nothing until asked.

Definite and indefinite lengths, lengths in more octets than necessary, and strings in segments
are all read; the octets as received stay at hand, because signatures cover them.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from awala.asn1.errors import Asn1Error

Octets: TypeAlias = bytes | bytearray | memoryview
"""What the reader takes and the writer joins."""

MAX_DEPTH: Final = 32
"""How deep elements may be nested (rules §1)."""

MAX_ELEMENTS: Final = 262_144
"""How many headers may be read in one encoding, all levels together (rules §1).

The largest lawful message, a cargo of 100 000 items, stays well below.
"""

_MAX_LENGTH_OCTETS: Final = 4
_INDEFINITE: Final = 0x80  # lengths below are in short form, above in long form
_LENGTH_OCTETS: Final = 0x7F
_TAG_NUMBER: Final = 0x1F
_REFUSED_IDENTIFIERS: Final = frozenset({0x00, 0x20, *range(_TAG_NUMBER, 0x100, 0x20)})
_MAX_VIEWS: Final = 65_536  # of segments, before they are joined: views take more memory than small ones
_CONSTRUCTED: Final = 0x20
_OCTET_STRING: Final = 0x04
_OCTET_STRING_SEGMENTED: Final = 0x24


class _Document:
    """What all elements of one encoding share: the octets, and what reading them has cost so far."""

    __slots__ = ("budget", "data", "ends")

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.budget = MAX_ELEMENTS
        self.ends: dict[int, int] = {}  # start of an indefinite element -> behind its end marker

    def read(self, position: int, limit: int, depth: int, *, only_first: bool = False) -> list[Element]:
        """Return the elements from ``position`` to ``limit``, or the first of them.

        One loop without calls for what is usual: whatever is parsed passes through it.
        """
        if depth > MAX_DEPTH and position < limit:
            raise Asn1Error(f"elements are nested more than {MAX_DEPTH} deep")
        data = self.data
        new = Element.__new__
        elements: list[Element] = []
        while position < limit:
            if not self.budget:
                raise Asn1Error(f"more than {MAX_ELEMENTS} elements in one encoding")
            self.budget -= 1
            start = position
            position += 2
            if position > limit:
                raise Asn1Error("an element is cut short")
            identifier = data[start]
            length = data[start + 1]
            if identifier in _REFUSED_IDENTIFIERS:
                raise _refusal(identifier)
            if length < _INDEFINITE:
                end = content_end = position + length
            elif length == _INDEFINITE:
                end = self.end_of_indefinite(start, limit, depth)
                content_end = end - 2
            else:
                length, position = _long_length(data, length, position, limit)
                end = content_end = position + length
            if end > limit:
                raise Asn1Error("an element is cut short")
            element = new(Element)
            element.document = self
            element.depth = depth
            element.identifier = identifier
            element.start = start
            element.content_start = position
            element.content_end = content_end
            element.end = end
            elements.append(element)
            if only_first:
                break
            position = end
        return elements

    def end_of_indefinite(self, start: int, limit: int, depth: int) -> int:
        """Return where the indefinite element at ``start`` ends, end marker included.

        One flat pass, which also remembers the ends of the indefinite elements it comes through,
        so that no octet is passed twice for this purpose.
        """
        known = self.ends.get(start)
        if known is not None:
            return known
        data = self.data
        position = start
        open_elements: list[int] = []
        while open_elements or position == start:
            if not self.budget:
                raise Asn1Error(f"more than {MAX_ELEMENTS} elements in one encoding")
            self.budget -= 1
            if position + 2 > limit:
                raise Asn1Error("an element of indefinite length has no end")
            identifier = data[position]
            length = data[position + 1]
            if identifier == 0 and length == 0:
                position += 2
                self.ends[open_elements.pop()] = position
            elif identifier in _REFUSED_IDENTIFIERS:
                raise _refusal(identifier)
            elif length == _INDEFINITE:
                _check_indefinite(identifier, depth + len(open_elements))
                open_elements.append(position)
                position += 2
            else:
                position += 2
                if length > _INDEFINITE:
                    length, position = _long_length(data, length, position, limit)
                position += length
        return position


class Element:
    """One element: an identifier octet, its contents, and the octets that make up the whole.

    ``content`` and ``encoding`` are views into the data given to `parse`; an element of
    indefinite length has its end marker in ``encoding`` but not in ``content``.
    """

    __slots__ = ("content_end", "content_start", "depth", "document", "end", "identifier", "start")

    identifier: int
    """The identifier octet: class, constructed bit and tag number."""

    document: _Document
    depth: int
    start: int
    content_start: int
    content_end: int
    end: int

    def __repr__(self) -> str:
        return f"Element({self.identifier:#04x}, {self.content_end - self.content_start} octets)"

    @property
    def content(self) -> memoryview:
        """The contents octets as received."""
        return self.document.data[self.content_start : self.content_end]

    @property
    def encoding(self) -> memoryview:
        """The whole element as received: header, contents and end marker."""
        return self.document.data[self.start : self.end]

    @property
    def is_constructed(self) -> bool:
        """Whether the contents are elements."""
        return bool(self.identifier & _CONSTRUCTED)

    def children(self) -> list[Element]:
        """Return the elements inside, one level deep.

        Raises `Asn1Error` if this element is primitive, or one inside is damaged or nested too deep.
        """
        if not self.identifier & _CONSTRUCTED:
            raise Asn1Error(
                f"a primitive element ({self.identifier:#04x}) stands where others should be inside"
            )
        return self.document.read(self.content_start, self.content_end, self.depth + 1)

    def buffer(self) -> bytes | memoryview:
        """Return the contents of a string: a view when it is in one piece, else its segments joined."""
        if not self.identifier & _CONSTRUCTED:
            return self.content
        segments: list[bytes | memoryview] = []
        waiting = self.children()[::-1]
        while waiting:
            segment = waiting.pop()  # so that memory is freed on the way
            if segment.identifier == _OCTET_STRING:
                if len(segments) == _MAX_VIEWS:
                    segments = [b"".join(segments)]
                segments.append(segment.content)
            elif segment.identifier == _OCTET_STRING_SEGMENTED:
                waiting += segment.children()[::-1]
            else:
                raise Asn1Error("a string has segments that are no octet strings")
        return segments[0] if len(segments) == 1 else b"".join(segments)

    def octets(self) -> bytes:
        """Return the contents of a string as octets, the segments of a constructed one joined."""
        return bytes(self.buffer())

    def expect(self, identifier: int, what: str) -> Element:
        """Return this element if it has that identifier octet; raise `Asn1Error` about ``what`` otherwise."""
        if self.identifier != identifier:
            raise Asn1Error(f"{what} has the tag {self.identifier:#04x} instead of {identifier:#04x}")
        return self


def parse(data: Octets) -> Element:
    """Return the first element in ``data``; octets behind it are ignored.

    ``data`` must not change while elements are in use. Raises `Asn1Error` if it holds no complete
    element. What is inside is only looked at when asked for.
    """
    view = memoryview(data)
    if type(data) is not bytes and (view.format != "B" or view.ndim != 1 or not view.contiguous):
        raise Asn1Error("the data is no plain run of octets")
    elements = _Document(view).read(0, len(view), 1, only_first=True)
    if not elements:
        raise Asn1Error("there is no element")
    return elements[0]


def _check_indefinite(identifier: int, depth: int) -> None:
    if not identifier & _CONSTRUCTED:
        raise Asn1Error("a primitive element has an indefinite length")
    if depth > MAX_DEPTH:
        raise Asn1Error(f"elements are nested more than {MAX_DEPTH} deep")


def _refusal(identifier: int) -> Asn1Error:
    if identifier & _TAG_NUMBER:
        return Asn1Error("tag numbers above 30 are not in use")
    return Asn1Error("an end marker stands where none is due")


def _long_length(data: memoryview, first: int, position: int, limit: int) -> tuple[int, int]:
    """Return a length in long form, and where the contents begin."""
    octets = first & _LENGTH_OCTETS
    behind = position + octets
    if behind > limit:
        raise Asn1Error("an element is cut short")
    if octets == 2:  # noqa: PLR2004 - by far the most frequent
        return data[position] << 8 | data[position + 1], behind
    if octets > _MAX_LENGTH_OCTETS:
        raise Asn1Error("a length takes more than four octets")
    length = 0
    for octet in data[position:behind]:
        length = length << 8 | octet
    return length, behind
