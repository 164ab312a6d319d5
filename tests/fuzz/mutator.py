# SPDX-License-Identifier: MIT
"""Mutates DER by its elements, lengths included, so that damage gets past the outermost header.

Octets changed blindly nearly always break a length that stands around them, and then nothing else is
ever read. Here elements are cut out, doubled, exchanged, given other tags or contents or an
indefinite length, and all headers around them are written anew.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

MAGIC = b"Awala"
PREFIX_OCTETS = 7
CONSTRUCTED = 0x20
SEQUENCE = 0x30
INDEFINITE = 0x80
PLAIN = 0.8
"""The share of mutations that are left to the fuzzer while it is guided."""

TAGS = bytes.fromhex("0102030405060c13171824303180818283a0a1a2a3")
MAX_ELEMENTS = 1024
MAX_LENGTH_OCTETS = 4
MAX_DEPTH = 24
MOST_ADDED = 16


@dataclass
class Node:
    """An element: its header, and either octets or the elements inside, perhaps behind some octets."""

    tag: int
    octets: bytes = b""
    children: list[Node] = field(default_factory=list)
    indefinite: bool = False

    def encode(self) -> bytes:
        content = self.octets + b"".join([child.encode() for child in self.children])
        if self.indefinite:
            return bytes((self.tag | CONSTRUCTED, INDEFINITE)) + content + b"\0\0"
        length = len(content)
        if length < INDEFINITE:
            return bytes((self.tag, length)) + content
        octets = length.to_bytes((length.bit_length() + 7) // 8)
        return bytes((self.tag, INDEFINITE | len(octets))) + octets + content


def mutate(
    data: bytes,
    max_size: int,
    seed: int,
    plain: Callable[[bytes, int], bytes],
    *,
    plain_share: float = PLAIN,
) -> bytes:
    """Return ``data`` changed somewhere, by its elements or by ``plain``, which changes octets."""
    chance = random.Random(seed)
    if chance.random() < plain_share:
        return plain(data, max_size)
    start = prefix_octets(data)
    root = Node(0, children=nodes(data[start:]) or [])
    if not root.children:
        return plain(data, max_size)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        change(root, chance, plain)
    mutated = data[:start] + b"".join([child.encode() for child in root.children])
    return mutated if len(mutated) <= max_size else plain(data, max_size)


def prefix_octets(data: bytes) -> int:
    """Return how many octets stand before the DER: a message's prefix, or a number that chooses something."""
    if data.startswith(MAGIC):
        return PREFIX_OCTETS
    return 1 if data[1:2] == bytes((SEQUENCE,)) and data[0] != SEQUENCE else 0


def nodes(data: bytes, depth: int = 0) -> list[Node] | None:
    """Return the elements that ``data`` consists of, None if it does not consist of elements in DER."""
    if depth > MAX_DEPTH:
        return None
    found = []
    position = 0
    while position < len(data):
        if position + 2 > len(data) or len(found) > MAX_ELEMENTS:
            return None
        tag, length = data[position], data[position + 1]
        position += 2
        if length & INDEFINITE:
            octets = length & ~INDEFINITE
            if not 0 < octets <= MAX_LENGTH_OCTETS:
                return None
            length = int.from_bytes(data[position : position + octets])
            position += octets
        content = data[position : position + length]
        if len(content) < length:
            return None
        position += length
        found.append(node(tag, content, depth))
    return found


def node(tag: int, content: bytes, depth: int) -> Node:
    """Return an element, with others inside if it is constructed or its octets are a structure in DER."""
    if tag & CONSTRUCTED or content[:1] == bytes((SEQUENCE,)):
        children = nodes(content, depth + 1)
        if children:
            return Node(tag, children=children)
    return Node(tag, content)


def change(root: Node, chance: random.Random, plain: Callable[[bytes, int], bytes]) -> None:
    """Change one element below the root."""
    parents = [root]
    for each in parents:  # which grows meanwhile
        parents += [child for child in each.children if child.children]
    parent = chance.choice(parents)
    if not parent.children:
        return
    index = chance.randrange(len(parent.children))
    chosen = parent.children[index]
    match chance.randrange(8):
        case 0:
            del parent.children[index]
        case 1:
            parent.children.insert(index, chosen)
        case 2:
            parent.children[index] = copy(chance.choice(chance.choice(parents).children or [chosen]))
        case 3:
            parent.children.insert(index, copy(chance.choice(chance.choice(parents).children or [chosen])))
        case 4:
            parent.children[index] = Node(chance.choice(TAGS), chosen.octets, chosen.children)
        case 5:
            parent.children[index] = Node(chosen.tag, chosen.octets, chosen.children, not chosen.indefinite)
        case 6:
            chance.shuffle(parent.children)
        case _:
            content = copy(chosen).octets
            parent.children[index] = Node(chosen.tag, plain(content, len(content) + MOST_ADDED))


def copy(original: Node) -> Node:
    """Return the element without structure, so that it may stand anywhere, even inside itself."""
    return Node(original.tag, original.octets + b"".join([child.encode() for child in original.children]))
