# SPDX-License-Identifier: MIT
"""RS-000, Cargo, and rules §1: as few cargoes as their targets allow, the first items in the first ones."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from awala.messages import CargoMessageSet, limits, pack
from awala.messages import packing as packing_module
from awala.messages.packing import item_cost, room_left

WASTEFUL = [13] * 6 + [32] * 6 + [49] * 6
"""A bit more than a seventh, a third and a half of 101 octets, each with two more for tag and length."""


def serialized(sizes) -> int:
    """Return how many octets a set with items of these sizes really takes."""
    return len(CargoMessageSet(tuple(map(bytes, sizes))).serialize())


def next_fit(sizes, target):
    """Pack in order, each item into the last set or a new one, as deployed stacks do."""
    sets = []
    for size in sizes:
        if not sets or item_cost(size) > room_left(sets[-1], target):
            sets.append([])
        sets[-1].append(size)
    return sets


def first_fit(sizes, target):
    """Pack each item into the first set that has room, found by looking at all of them."""
    sets = []
    for size in sizes:
        for one in sets:
            if item_cost(size) <= room_left(one, target):
                one.append(size)
                break
        else:
            sets.append([size])
    return sets


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536, 8_322_038])
def test_an_item_is_reckoned_as_it_will_be(size):
    assert item_cost(size) == serialized([size]) - serialized([]) - (len_of_header(item_cost(size)) - 2)


def len_of_header(length):
    return 2 if length < 128 else 2 + (length.bit_length() + 7) // 8


@settings(deadline=None)
@given(st.lists(st.integers(0, 400), max_size=20), st.integers(0, 70_000))
@example([], 0)
@example([], 1)
@example([125, 0], 131)
@example([251], 257)
def test_the_room_that_is_left_is_what_further_items_may_cost(sizes, target):
    room = room_left(sizes, target)
    used = sum(map(item_cost, sizes))
    fits = len_of_header(used + room) + used + room <= target
    assert fits or used + room <= 0
    assert len_of_header(used + room + 1) + used + room + 1 > target


@pytest.mark.parametrize(
    ("sizes", "target", "sets"),
    [
        ([], 100, []),
        ([10, 10], 100, [[0, 1]]),
        ([40, 50], 96, [[0, 1]]),
        ([40, 51], 96, [[0], [1]]),
        ([96, 1], 100, [[0], [1]]),
        ([1, 500, 1], 100, [[0, 2], [1]]),
        ([500], 100, [[0]]),
        ([0] * 3, 4, [[0], [1], [2]]),
        ([0, 0], 0, [[0], [1]]),
        ([60, 60, 20, 20], 100, [[0, 2], [1, 3]]),
    ],
)
def test_each_item_goes_into_the_first_set_that_has_room(sizes, target, sets):
    assert pack(sizes, target) == sets


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 2000), max_size=60), st.integers(10, 1500))
@example(WASTEFUL, 103)
def test_packed_sets_hold_every_item_once_within_the_target_and_are_few(sizes, target):
    packed = pack(sizes, target)
    assert sorted(index for indexes in packed for index in indexes) == list(range(len(sizes)))
    assert [indexes[0] for indexes in packed] == sorted(min(indexes) for indexes in packed)
    for indexes in packed:
        assert indexes == sorted(indexes)
        assert serialized(sizes[index] for index in indexes) <= target or len(indexes) == 1
    costs = [item_cost(size) for size in sizes]
    room = room_left((), target)
    fitting = [cost for cost in costs if cost <= room]
    fewest = len(costs) - len(fitting) + (-(-sum(fitting) // room) if fitting else 0)
    assert fewest <= len(packed) <= len(next_fit(sizes, target))
    assert len(packed) <= len(first_fit(sorted(sizes, reverse=True), target)) + 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=80), st.integers(50, 700))
def test_the_order_is_that_of_importance_unless_that_costs_more_than_one_cargo(sizes, target):
    by_order, by_size = first_fit(sizes, target), first_fit(sorted(sizes, reverse=True), target)
    packed = [[sizes[index] for index in indexes] for indexes in pack(sizes, target)]
    if len(by_order) <= len(by_size) + 1:
        assert packed == by_order
    else:
        assert len(packed) == len(by_size)


def test_items_by_falling_size_are_tried_where_order_wastes_much():
    assert len(first_fit(WASTEFUL, 103)) == 10
    packed = pack(WASTEFUL, 103)
    assert len(packed) == 6
    assert packed[0] == [0, 6, 12]


def test_a_packed_set_has_no_more_items_than_a_cargo_may_have(monkeypatch):
    monkeypatch.setattr(packing_module, "EMITTED_CARGO_ITEMS", 2)
    assert pack([1] * 5) == [[0, 1], [2, 3], [4]]


def test_two_of_the_largest_parcels_travel_in_two_cargoes():
    assert pack([limits.MAX_PARCEL_SIZE] * 2) == [[0], [1]]
    assert pack([limits.MAX_PARCEL_SIZE - 3, 1, 1]) == [[0, 1], [2]]


def test_100_000_items_in_thousands_of_sets_are_packed_at_once():
    chance = random.Random(4)
    sizes = [chance.randrange(60_000) for _ in range(limits.MAX_CARGO_ITEMS)]
    packed = pack(sizes, 262_144)
    room = room_left((), 262_144)
    fewest = -(-sum(map(item_cost, sizes)) // room)
    assert fewest <= len(packed) <= fewest * 1.01
