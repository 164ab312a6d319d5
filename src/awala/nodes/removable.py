# SPDX-License-Identifier: MIT
"""Export to removable media and import from them, as both gateways' carriers do it (rules §6).

An export is a copy: nothing is let go of for it, and no debt is paid, since a medium may be lost. An import
takes each file over by itself, and removes it only then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from awala.bindings.media import DamagedFileError, Medium, MediumError
from awala.messages import MessageError

MAX_PROBLEMS = 20
"""Files that are told of by name after an import; further ones are only counted."""

TakeFile = Callable[[bytes], Awaitable[bool]]
"""Takes over what a file holds, returning after commit; False leaves it for somebody else.

Raises MessageError for what can never be taken, StorageFullError to end the import.
"""


class Stage(Enum):
    """Where an export or import stands."""

    EXPORTING = "exporting"
    IMPORTING = "importing"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """Files written so far, and those that were there already."""

    stage: Stage
    exported: int
    already_there: int


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """Files taken so far, those left for others, and those that nobody can use; and what was wrong."""

    stage: Stage
    imported: int
    left: int
    skipped: int
    problems: tuple[str, ...]


async def export_to(directory: Path, messages: AsyncGenerator[bytes]) -> AsyncIterator[ExportProgress]:
    """Write messages to a directory, each durable before the next; raises MediumError and what they raise."""
    medium = Medium(directory)
    await medium.tidy()
    exported = already_there = 0
    async with aclosing(messages):
        async for octets in messages:
            if await medium.write(octets):
                exported += 1
            else:
                already_there += 1
            yield ExportProgress(Stage.EXPORTING, exported, already_there)
    yield ExportProgress(Stage.DONE, exported, already_there)


@dataclass(slots=True)
class _Tally:
    imported: int = 0
    left: int = 0
    skipped: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, name: str, problem: object) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{name}: {problem}")

    def at(self, stage: Stage) -> ImportProgress:
        return ImportProgress(stage, self.imported, self.left, self.skipped, tuple(self.problems))


async def import_from(directory: Path, take: TakeFile) -> AsyncIterator[ImportProgress]:
    """Take over the files of a directory; a file that cannot be used does not keep the others.

    Raises MediumError if the directory cannot be listed, and StorageFullError: what was taken before is safe.
    """
    medium = Medium(directory)
    tally = _Tally()
    yield tally.at(Stage.IMPORTING)
    for name in await medium.names():
        try:
            taken = await take(await medium.read(name))
        except (DamagedFileError, MessageError) as error:
            tally.skipped += 1
            tally.note(name, error)
            continue
        if not taken:
            tally.left += 1
            continue
        tally.imported += 1
        try:
            await medium.remove(name)
        except MediumError as error:
            tally.note(name, f"it was taken, but stays on the medium: {error}")
        yield tally.at(Stage.IMPORTING)
    yield tally.at(Stage.DONE)
