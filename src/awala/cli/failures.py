# SPDX-License-Identifier: MIT
"""How a command ends: exit codes, and one line on standard error for everything that fails."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from enum import IntEnum

import click

from awala.base.errors import AwalaError
from awala.cli.output import printable

TRACEBACK_VARIABLE = "AWALA_TRACEBACK"
"""Set to 1, it makes an unexpected failure print where in the program it happened."""


class ExitCode(IntEnum):
    """What a command tells the shell."""

    SUCCESS = 0
    FAILURE = 1
    USAGE = 2
    INTERRUPTED = 130


class CommandFailure(AwalaError):  # noqa: N818 - an outcome of a command rather than an error of the program
    """A command did its work, and the outcome is a failure: exit 1.

    An empty message prints nothing: the command has said it all.
    """


def run_guarded(command: click.Command, arguments: Sequence[str], *, name: str = "awala") -> ExitCode:
    """Run a click command; explain whatever it raises in one line, and return the exit code."""
    try:
        result = command.main(args=list(arguments), prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        _complain(name, error.format_message())
        return ExitCode.FAILURE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _forget_standard_output()
        return ExitCode.FAILURE
    except Exception as error:  # noqa: BLE001 - the last boundary: a person gets a line, not a trace
        return _explain(name, error)
    return ExitCode(result) if isinstance(result, int) else ExitCode.SUCCESS


def describe(error: BaseException) -> str:
    """Return the one line that explains a failure: what is wrong, then what to do."""
    known = next((leaf for leaf in _leaves(error) if isinstance(leaf, AwalaError)), None)
    if known is not None:
        return printable(_join(str(known), known.advice))
    cause = next(_leaves(error))
    if isinstance(cause, OSError):
        subject = f"{cause.filename}: " if cause.filename else ""
        return printable(f"{subject}{cause.strerror or cause}")
    return printable(
        f"unexpected failure, a defect of this program: {type(cause).__name__}: {cause} "
        f"({TRACEBACK_VARIABLE}=1 shows where)"
    )


def _explain(name: str, error: Exception) -> ExitCode:
    unexpected = not any(isinstance(leaf, AwalaError | OSError) for leaf in _leaves(error))
    if unexpected and os.environ.get(TRACEBACK_VARIABLE) == "1":
        traceback.print_exception(error, file=sys.stderr)
    if not (isinstance(error, CommandFailure) and not str(error)):
        _complain(name, describe(error))
    return ExitCode.FAILURE


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _join(message: str, advice: str) -> str:
    if not advice:
        return message
    return f"{message.rstrip('.')}. {advice}"


def _complain(name: str, line: str) -> None:
    click.echo(f"{name}: {' '.join(line.split())}", err=True)


def _forget_standard_output() -> None:
    """Keep the interpreter from complaining that the reader of standard output has left."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
