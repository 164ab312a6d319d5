# SPDX-License-Identifier: MIT

from __future__ import annotations

from helpers.rules import PAGE, marked_tests, numbers, page


def test_every_mark_names_a_rule_that_exists():
    assert set(marked_tests()) <= numbers()


def test_every_rule_has_a_test():
    assert numbers() <= set(marked_tests())


def test_the_page_of_rules_is_up_to_date():
    assert PAGE.read_text() == page(), "run ./scripts/rules"
