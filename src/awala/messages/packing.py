# SPDX-License-Identifier: MIT
"""Packs items into as few cargo message sets as is sensible, the first items first (RS-000; rules §1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from awala.asn1 import der
from awala.messages.limits import CARGO_TARGET_INTERNET, EMITTED_CARGO_ITEMS

_CLOSED: Final = -1
_SHORTEST_HEADER: Final = 2  # tag and length


def pack(sizes: Iterable[int], target: int = CARGO_TARGET_INTERNET) -> list[list[int]]:
    """Distribute items over sets; return for each set the indexes of its items, in ascending order.

    ``sizes`` are the items' octets, most important first; ``target`` is the size of a serialised set
    that none should exceed, in octets. An item that exceeds it by itself travels alone. Each item goes
    into the first set that has room for it, so that important items leave first; only if items by
    falling size would save more than one set are they taken so. Sets come in the order of their first
    items, and have no more of them than every peer can read (decision 13).
    """
    costs = [item_cost(size) for size in sizes]
    room = room_left((), target)
    packed = _first_fit(range(len(costs)), costs, room)
    if len(packed) <= _fewest(costs, room) + 1:
        return packed
    by_size = _first_fit(sorted(range(len(costs)), key=costs.__getitem__, reverse=True), costs, room)
    if len(packed) <= len(by_size) + 1:
        return packed
    return sorted(map(sorted, by_size))


def item_cost(size: int) -> int:
    """Return what an item of ``size`` octets takes in a set: tag, length and contents."""
    return len(der.header(der.OCTET_STRING, size)) + size


def room_left(sizes: Iterable[int], target: int) -> int:
    """Return what items may still cost in a set that has items of these sizes already.

    Negative if a set of ``target`` octets cannot even hold those.
    """
    length = target - _SHORTEST_HEADER
    while length > 0 and len(der.header(der.SEQUENCE, length)) + length > target:
        length -= 1
    return length - sum(map(item_cost, sizes))


def _fewest(costs: Sequence[int], room: int) -> int:
    """Return a number of sets that no way of packing can do with less than."""
    fitting = [cost for cost in costs if cost <= room]
    return len(costs) - len(fitting) + (-(-sum(fitting) // room) if fitting else 0)


def _first_fit(order: Iterable[int], costs: Sequence[int], room: int) -> list[list[int]]:
    """Put each item, in this order, into the first set that has room for it, or else into a new one."""
    sets: list[list[int]] = []
    rooms = _Rooms()
    for index in order:
        cost = costs[index]
        number = rooms.first(cost)
        if number is None:
            number = len(sets)
            sets.append([])
            left = room - cost
        else:
            left = rooms[number] - cost
        sets[number].append(index)
        rooms[number] = left if len(sets[number]) < EMITTED_CARGO_ITEMS else _CLOSED
    return sets


class _Rooms:
    """The room that is left in each set.

    They are the leaves of a binary tree in which every other node holds the larger of its two
    children, so that the first set with enough room is found in as many steps as there are levels.
    """

    __slots__ = ("_leaves", "_tree")

    def __init__(self) -> None:
        self._leaves = 1
        self._tree = [_CLOSED, _CLOSED]

    def first(self, cost: int) -> int | None:
        """Return the first set that has room for ``cost`` octets, or None if no set has."""
        tree = self._tree
        if tree[1] < cost:
            return None
        node = 1
        while node < self._leaves:
            node *= 2
            node += tree[node] < cost
        return node - self._leaves

    def __getitem__(self, number: int) -> int:
        return self._tree[self._leaves + number]

    def __setitem__(self, number: int, room: int) -> None:
        if number == self._leaves:
            self._grow()
        tree = self._tree
        node = self._leaves + number
        tree[node] = room
        while node > 1:
            node //= 2
            larger = max(tree[2 * node], tree[2 * node + 1])
            if tree[node] == larger:
                break
            tree[node] = larger

    def _grow(self) -> None:
        """Double the number of leaves; the tree so far becomes the left half of the new one."""
        level = 1
        grown = [_CLOSED, self._tree[1]]
        while level <= self._leaves:
            grown += self._tree[level : 2 * level] + [_CLOSED] * level
            level *= 2
        self._leaves *= 2
        self._tree = grown
