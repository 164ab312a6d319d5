# SPDX-License-Identifier: MIT
"""Registration of nodes with a gateway: authorisations are short-lived, used once and bound to a key."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.bindings.errors import Forbidden, MalformedRequest, TemporarilyUnavailable
from awala.crypto import IdentityPrivateKey, IdentityPublicKey
from awala.messages import (
    MessageError,
    Registration,
    RegistrationAuthorization,
    RegistrationRequest,
)

AUTHORIZATION_LIFETIME = timedelta(seconds=10)
"""How long a registration authorisation may be used (rules §3, RS-000)."""

NONCE_SIZE = 16
"""Octets of randomness that make an authorisation unique."""

MAX_PENDING = 10_000
"""Authorisations that may be outstanding at once; more are refused for some seconds."""

Enrol = Callable[[IdentityPublicKey, datetime], Awaitable[Registration]]
"""Issues what a node gets when it registers."""


class Registrar:
    """Authorises and registers nodes; what they are given is decided by ``enrol``."""

    def __init__(
        self,
        *,
        key: IdentityPrivateKey,
        clock: Clock,
        enrol: Enrol,
        nonce: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._key = key
        self._clock = clock
        self._enrol = enrol
        self._nonce = nonce
        self._pending: dict[bytes, datetime] = {}

    async def preregister(self, key_digest: bytes) -> bytes:
        """Return an authorisation (PNRA) for the node with this key digest (32 octets)."""
        now = self._clock.now()
        self._forget_expired(now)
        if len(self._pending) >= MAX_PENDING:
            raise TemporarilyUnavailable("too many registrations are under way")
        expiry = now + AUTHORIZATION_LIFETIME
        nonce = self._nonce(NONCE_SIZE)
        self._pending[nonce] = expiry
        return RegistrationAuthorization(expiry, nonce + key_digest).serialize(self._key)

    async def register(self, request: bytes) -> bytes:
        """Register the node that made this request (PNRR) and return its registration (PNR).

        Raises MalformedRequest, or Forbidden for an authorisation made for another key.
        """
        now = self._clock.now()
        try:
            parsed = RegistrationRequest.parse(request)
            authorization = RegistrationAuthorization.parse(parsed.authorization)
            authorization.verify(self._key.public_key, now)
        except MessageError as error:
            raise MalformedRequest(f"the registration request cannot be used: {error}") from error
        nonce = authorization.gateway_data[:NONCE_SIZE]
        if authorization.gateway_data[NONCE_SIZE:] != parsed.node_key.digest:
            raise Forbidden("the registration authorisation was made for another key")
        if self._pending.pop(nonce, None) is None:
            raise MalformedRequest("the registration authorisation was used before")
        registration = await self._enrol(parsed.node_key, now)
        return registration.serialize()

    def _forget_expired(self, now: datetime) -> None:
        # Insertion order is expiry order, unless the clock was set back: then they only linger.
        while self._pending:
            nonce, expiry = next(iter(self._pending.items()))
            if expiry > now:
                return
            del self._pending[nonce]
