# SPDX-License-Identifier: MIT
"""The errors of this package, and the one boundary at which those of lower layers are mapped."""

from __future__ import annotations

from types import TracebackType

from awala.base.errors import AwalaError


class MessageError(AwalaError):
    """A message or structure that cannot be read, written or accepted."""


class MalformedMessageError(MessageError):
    """Octets that do not have the form of the message, or a signature that does not hold.

    The same octets will never be accepted; servers answer as for bad syntax (HTTP 400).
    """

    advice = "Drop the message: it is damaged, or its sender does not follow the protocol."


class InvalidMessageError(MessageError):
    """A message of the right form that is not acceptable: dates, authorisation or values to be emitted.

    Servers answer that the message is refused (HTTP 403 or 422).
    """

    advice = "Drop the message, unless a clock is wrong or a certificate is missing here."


class AmbiguousKindError(MessageError):
    """An artefact of which several kinds have the shape.

    Attributes:
        candidates: the kinds that fit, as ``inspect`` takes them.

    """

    advice = "Say which kind it is."

    def __init__(self, candidates: tuple[str, ...]) -> None:
        super().__init__(f"several kinds have this shape: {', '.join(candidates)}")
        self.candidates = candidates


class WrongKeyError(MessageError):
    """None of the keys at hand opens the payload."""

    advice = "Give the private session key to which the payload is encrypted."


class reading:  # noqa: N801 - a context manager that reads as a verb
    """Map what lower layers say about bad input to `MalformedMessageError`, naming what was read."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Begin to read."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Replace an error of a lower layer."""
        if isinstance(error, AwalaError) and not isinstance(error, MessageError):
            raise MalformedMessageError(f"Malformed {self._what}: {error}") from error


class writing:  # noqa: N801 - as above
    """Map what lower layers say about values that cannot be written to `InvalidMessageError`."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Begin to write."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Replace an error of a lower layer."""
        if isinstance(error, AwalaError) and not isinstance(error, MessageError):
            raise InvalidMessageError(f"Cannot write the {self._what}: {error}") from error
