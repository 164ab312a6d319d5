# SPDX-License-Identifier: MIT
"""The errors that every binding shares: what a client may meet, and what a service tells its server.

The first family is raised by clients and says what can be done with the message in hand (rules §9).
The second is raised by the services behind a server; the server turns each into the one answer that
its protocol has for it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from awala.base.errors import AwalaError, StorageFullError


class BindingError(AwalaError):
    """Base of everything that can go wrong between us and a peer."""


class UnreachableError(BindingError):
    """No answer came: no connection, a time-out, or a connection that broke half-way.

    The peer may have taken the message all the same; handing it over again is safe.
    """

    retryable = True
    advice = "Wait; it is tried again until the message expires."


class ServerError(BindingError):
    """The peer answered that it cannot do this now, or in a way that settles nothing (rules §9).

    Attributes:
        status: the HTTP status, or None where the protocol has none.
        retry_after: seconds that the peer asked us to wait, counted from its answer; None if it did not.

    """

    retryable = True
    advice = "Wait; it is tried again until the message expires."

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class RefusedError(BindingError):
    """The peer refused this message for good: the same octets will never be taken.

    Attributes:
        status: the HTTP status, or None where the protocol has none.

    """

    advice = "Drop the message, or ask its recipient for a new authorisation."

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class MalformedError(RefusedError):
    """The peer says that what we sent is malformed, too large or of a wrong type (400, 413, 415)."""

    advice = "Keep the message aside and report it: one of the two programs is at fault."


class UnauthenticatedError(BindingError):
    """The peer does not accept our credentials (401)."""

    advice = "Register again with the gateway, then try again."

    def __init__(self, message: str, *, status: int | None = HTTPStatus.UNAUTHORIZED) -> None:
        super().__init__(message)
        self.status = status


class ProtocolError(BindingError):
    """The peer broke the protocol; another attempt may meet a repaired peer."""

    retryable = True
    advice = "Check that the address belongs to an Awala node, and that its version is compatible."


class RequestError(AwalaError):
    """Base of what a service raises so that its server answers with an error."""

    status: ClassVar[int] = HTTPStatus.INTERNAL_SERVER_ERROR
    """The HTTP status that stands for this error."""


class MalformedRequest(RequestError):  # noqa: N818 - named as the answer it becomes, like its siblings
    """What was sent cannot be read: 400."""

    status = HTTPStatus.BAD_REQUEST


class Unauthenticated(RequestError):  # noqa: N818 - named as the answer it becomes
    """The sender did not prove who it is: 401."""

    status = HTTPStatus.UNAUTHORIZED


class Forbidden(RequestError):  # noqa: N818 - named as the answer it becomes
    """The sender may not do this: 403."""

    status = HTTPStatus.FORBIDDEN


class Unprocessable(RequestError):  # noqa: N818 - named as the answer it becomes
    """Readable and authentic, but not acceptable: 422."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class TemporarilyUnavailable(RequestError):  # noqa: N818 - named as the answer it becomes
    """Not now: 503.

    Attributes:
        retry_after: seconds after which another attempt makes sense, or None.

    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retryable = True

    def __init__(self, message: str = "Try again later", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


Full = StorageFullError
"""The store has no room: 507. The same class as ``awala.base.errors.StorageFullError``."""
