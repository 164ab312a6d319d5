# SPDX-License-Identifier: MIT
"""Reads the rules, and finds the tests that show them by their marks, without running any."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
REGISTRY = TESTS / "rules" / "rules.toml"
PAGE = TESTS.parent / "docs" / "rules.md"

INTRODUCTION = """\
<!-- Made by ./scripts/rules from tests/rules/rules.toml and the marks of the tests; not to be edited. -->

# Rules

What exactly is emitted, accepted, refused, kept, tried again, and for how long. Comments and docstrings cite
these as `rules §4`. The tests named beside a rule show that it holds; a change of a rule comes with a
[decision](decisions/README.md).
"""


@dataclass(frozen=True, slots=True)
class Rule:
    number: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    number: str
    title: str
    rules: tuple[Rule, ...]


def sections() -> list[Section]:
    with REGISTRY.open("rb") as stream:
        document = tomllib.load(stream)
    return [
        Section(number, body["title"], tuple(Rule(key, text) for key, text in body.items() if key != "title"))
        for number, body in document.items()
    ]


def numbers() -> set[str]:
    return {rule.number for section in sections() for rule in section.rules}


def marked_tests() -> dict[str, list[tuple[str, str]]]:
    """Return the tests of each rule: the file's path below ``tests``, and the function's name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        if "node_modules" in file.parts:
            continue
        for name, rule in _marks(ast.parse(file.read_text())):
            found.setdefault(rule, []).append((file.relative_to(TESTS).as_posix(), name))
    return found


def _marks(module: ast.Module) -> Iterator[tuple[str, str]]:
    everywhere = [
        rule
        for statement in module.body
        if isinstance(statement, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in statement.targets)
        for rule in _rules_in(statement.value)
    ]
    for function in _functions(module.body):
        own = [rule for decorator in function.decorator_list for rule in _rules_in(decorator)]
        for rule in dict.fromkeys(everywhere + own):
            yield function.name, rule


def _functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the tests of a module, those in classes too."""
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield from _functions(statement.body)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name.startswith(
            "test"
        ):
            yield statement


def _rules_in(expression: ast.expr) -> Iterator[str]:
    for node in ast.walk(expression):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "rule"
            and isinstance(node.func.value, ast.Attribute)
            and node.func.value.attr == "mark"
        ):
            yield from (argument.value for argument in node.args if isinstance(argument, ast.Constant))


def page() -> str:
    """Return what docs/rules.md must hold."""
    tests = marked_tests()
    parts = [INTRODUCTION]
    for section in sections():
        parts.append(
            f"\n## {section.number}. {section.title}\n\n| rule | | shown by |\n| --- | --- | --- |\n"
        )
        parts += [
            f"| {rule.number} | {rule.text} | {_links(tests.get(rule.number, []))} |\n"
            for rule in section.rules
        ]
    return "".join(parts)


def _links(tests: list[tuple[str, str]]) -> str:
    files: dict[str, list[str]] = {}
    for file, name in tests:
        files.setdefault(file, []).append(name.removeprefix("test_").replace("_", " "))
    return "; ".join(
        f"[{file.rpartition('/')[2]}](../tests/{file}): {', '.join(names)}" for file, names in files.items()
    )
