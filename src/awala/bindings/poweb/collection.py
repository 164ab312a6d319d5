# SPDX-License-Identifier: MIT
"""The server's side of a parcel collection as a state machine, without input or output.

It is told what happens and answers with what to do: ``start`` and ``receive`` come from the peer,
``authenticated``, ``refused``, ``fetched``, ``committed`` and ``failed`` from the gateway behind,
``drain`` and ``tick`` from whoever runs it. Times are seconds of any monotonic clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from awala.bindings.poweb.names import HANDSHAKE_TIMEOUT, MAX_COLLECTOR_MESSAGE, MAX_WINDOW, CloseCode
from awala.bindings.poweb.service import CollectedParcel, StreamingMode
from awala.messages.collection import HandshakeChallenge, ParcelDelivery

DRAIN_GRACE: Final = 1.0
"""Seconds that acknowledgements on their way get when the server is drained."""


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send this binary message to the collector."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Open the collection that this handshake response proves a right to."""

    response: bytes


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask the collection for its next parcel; one such request stands at a time."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Tell the collection that the collector has this parcel."""

    parcel: CollectedParcel


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection; nothing follows."""

    code: CloseCode
    reason: str = ""


Action = SendMessage | Authenticate | Fetch | Commit | Close
Actions = Sequence[Action]


class _State(Enum):
    NEW = auto()
    CHALLENGED = auto()
    AUTHENTICATING = auto()
    COLLECTING = auto()
    CLOSED = auto()


class DeliveryIds:
    """The delivery ids of one connection.

    They are numbered, so that an id of this connection is known without remembering it, and of one
    length, so that acknowledgements that a peer glued together are never taken for another id.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._last = 0

    def next(self) -> str:
        """Return a new id."""
        self._last += 1
        return self._format(self._last)

    def is_ours(self, delivery_id: str) -> bool:
        """Say whether ``next`` has returned this id."""
        prefix, _, number = delivery_id.rpartition("-")
        if prefix != self._prefix or not number.isascii() or not number.isdigit():
            return False
        return 0 < int(number) <= self._last and self._format(int(number)) == delivery_id

    def _format(self, number: int) -> str:
        return f"{self._prefix}-{number:012d}"


def parse_window(value: str | None) -> int:
    """Return how many unacknowledged deliveries a collector asked for, within 1 to 5 (rules §8)."""
    number = (value or "").strip()
    if len(number) > 4 or not (number.isascii() and number.isdigit()):  # noqa: PLR2004 - far above the limit
        return 1
    return min(max(int(number), 1), MAX_WINDOW)


def parse_mode(values: Sequence[str]) -> StreamingMode:
    """Return the streaming mode that any of these header values asks for; anything unknown keeps alive."""
    wanted = {value.strip().lower() for value in values}
    if StreamingMode.CLOSE_UPON_COMPLETION.value in wanted:
        return StreamingMode.CLOSE_UPON_COMPLETION
    return StreamingMode.KEEP_ALIVE


class CollectionConversation:
    """One parcel collection, seen from the server (RS-016 §3.4, rules §8).

    Attributes:
        mode: what happens once the queue is empty.
        deadline: when ``tick`` is due, or None.

    """

    def __init__(self, *, nonce: bytes, id_prefix: str, mode: StreamingMode, window: int = 1) -> None:
        self.mode = mode
        self.deadline: float | None = None
        self._nonce = nonce
        self._ids = DeliveryIds(id_prefix)
        self._window = window
        self._state = _State.NEW
        self._outstanding: dict[str, CollectedParcel] = {}
        self._commits = 0
        self._fetching = False
        self._queue_empty = False
        self._draining = False

    @property
    def is_authenticating(self) -> bool:
        """Whether the gateway is judging the handshake response."""
        return self._state is _State.AUTHENTICATING

    @property
    def is_closed(self) -> bool:
        """Whether a Close has been returned."""
        return self._state is _State.CLOSED

    def start(self, now: float) -> Actions:
        """Challenge the collector: the server speaks first."""
        self._state = _State.CHALLENGED
        self.deadline = now + HANDSHAKE_TIMEOUT
        return [SendMessage(HandshakeChallenge(self._nonce).serialize())]

    def receive(self, message: str | bytes) -> Actions:
        """Take a message of the collector: its handshake response, then acknowledgements."""
        if self._state is _State.CLOSED:
            return []
        if len(message) > MAX_COLLECTOR_MESSAGE:
            return self._close(CloseCode.TOO_BIG, "The message is too big")
        if self._state is _State.CHALLENGED:
            return self._receive_response(message)
        if self._state is _State.COLLECTING:
            return self._receive_acknowledgement(message)
        return self._close(CloseCode.REFUSED, "This message was not expected")

    def authenticated(self) -> Actions:
        """Take note that the collection is open."""
        if self._state is _State.CLOSED:
            return []
        self._state = _State.COLLECTING
        return self._proceed()

    def refused(self) -> Actions:
        """Take note that the handshake response proves nothing."""
        return self._close(CloseCode.REFUSED, "The handshake response is not valid")

    def fetched(self, parcel: CollectedParcel | None) -> Actions:
        """Take the answer to Fetch: a parcel, or None when the queue is empty.

        In keep-alive mode None ends the collection as draining does: the collector is to come back.
        """
        self._fetching = False
        if self._state is _State.CLOSED or (self._draining and parcel is not None):
            return []
        if parcel is None:
            if self.mode is StreamingMode.KEEP_ALIVE:
                return self._close(CloseCode.DRAINED, "Come back")
            self._queue_empty = True
            return self._proceed()
        delivery_id = self._ids.next()
        self._outstanding[delivery_id] = parcel
        delivery = SendMessage(ParcelDelivery(delivery_id, parcel.parcel).serialize())
        return [delivery, *self._proceed()]

    def committed(self) -> Actions:
        """Take note that one Commit is durable."""
        self._commits -= 1
        if self._state is not _State.COLLECTING:
            return []
        if self._queue_empty and self._is_settled:
            # More may have arrived since the queue was found empty: one more look.
            self._queue_empty = False
        return self._proceed()

    def failed(self) -> Actions:
        """Take note that the gateway cannot go on."""
        return self._close(CloseCode.INTERNAL_ERROR, "Internal error")

    def unavailable(self) -> Actions:
        """Take note that the gateway cannot serve this collector now."""
        return self._close(CloseCode.TRY_LATER, "Try again later")

    def drain(self, now: float) -> Actions:
        """End soon: hand out nothing more, and let acknowledgements on their way arrive."""
        if self._state is _State.CLOSED or self._draining:
            return []
        self._draining = True
        if self._state is not _State.COLLECTING or self._is_settled:
            return self._close(CloseCode.DRAINED, "The server is stopping")
        self.deadline = now + DRAIN_GRACE
        return []

    def tick(self, now: float) -> Actions:
        """Act on the deadline if it has passed."""
        if self.deadline is None or now < self.deadline:
            return []
        if self._draining:
            return self._close(CloseCode.DRAINED, "The server is stopping")
        return self._close(CloseCode.POLICY, "The challenge was not answered in time")

    @property
    def _is_settled(self) -> bool:
        return not self._outstanding and not self._commits

    def _receive_response(self, message: str | bytes) -> Actions:
        if isinstance(message, str):
            return self._close(CloseCode.REFUSED, "The handshake response must be binary")
        self.deadline = None
        self._state = _State.AUTHENTICATING
        return [Authenticate(message)]

    def _receive_acknowledgement(self, message: str | bytes) -> Actions:
        delivery_id = message if isinstance(message, str) else message.decode("latin-1")
        parcel = self._outstanding.pop(delivery_id, None)
        if parcel is None:
            if self._ids.is_ours(delivery_id):
                return []
            return self._close(CloseCode.REFUSED, "There is no such delivery")
        self._commits += 1
        return [Commit(parcel), *self._proceed()]

    def _proceed(self) -> Actions:
        if self._draining:
            return self._close(CloseCode.DRAINED, "The server is stopping") if self._is_settled else []
        if self._queue_empty:
            done = self._is_settled and not self._fetching
            return self._close(CloseCode.COMPLETED, "") if done else []
        if self._fetching or len(self._outstanding) >= self._window:
            return []
        self._fetching = True
        return [Fetch()]

    def _close(self, code: CloseCode, reason: str) -> Actions:
        if self._state is _State.CLOSED:
            return []
        self._state = _State.CLOSED
        self.deadline = None
        return [Close(code, reason)]
