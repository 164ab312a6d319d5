# SPDX-License-Identifier: MIT
"""Registration of nodes with a gateway: authorisations are short-lived, used once and bound to a key."""

from __future__ import annotations

import asyncio
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
"""Octets that make an authorisation unique: the first half is that of this process."""

MAX_USED = 10_000
"""Registrations within the life of an authorisation; more are refused for some seconds."""

_HALF = NONCE_SIZE // 2

Enrol = Callable[[IdentityPublicKey, datetime], Awaitable[Registration]]
"""Issues what a node gets when it registers."""


class Registrar:
    """Authorises and registers nodes; what they are given is decided by ``enrol``.

    An authorisation is remembered once it was used, not when it is given, so that asking for many
    costs nothing here and keeps nobody out. Those that an earlier process gave are not accepted.
    """

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
        self._process = nonce(_HALF)
        self._used: dict[bytes, datetime] = {}

    async def preregister(self, key_digest: bytes) -> bytes:
        """Return an authorisation (PNRA) for the node with this key digest (32 octets)."""
        data = self._process + self._nonce(_HALF) + key_digest
        authorization = RegistrationAuthorization(self._clock.now() + AUTHORIZATION_LIFETIME, data)
        return await asyncio.to_thread(authorization.serialize, self._key)

    async def register(self, request: bytes) -> bytes:
        """Register the node that made this request (PNRR) and return its registration (PNR).

        Raises MalformedRequest, Forbidden for an authorisation made for another key, or
        TemporarilyUnavailable.
        """
        now = self._clock.now()
        try:
            parsed = RegistrationRequest.parse(request)
            authorization = RegistrationAuthorization.parse(parsed.authorization)
            authorization.verify(self._key.public_key, now)
        except MessageError as error:
            raise MalformedRequest(f"the registration request cannot be used: {error}") from error
        if authorization.gateway_data[NONCE_SIZE:] != parsed.node_key.digest:
            raise Forbidden("the registration authorisation was made for another key")
        self._use(authorization.gateway_data[:NONCE_SIZE], authorization.expiry, now)
        registration = await self._enrol(parsed.node_key, now)
        return registration.serialize()

    def _use(self, nonce: bytes, expiry: datetime, now: datetime) -> None:
        """Use up an authorisation; raise MalformedRequest if it is not one of this process, or was used."""
        self._used = {used: end for used, end in self._used.items() if end >= now}
        if nonce in self._used or nonce[:_HALF] != self._process:
            raise MalformedRequest("the registration authorisation was used before")
        if len(self._used) >= MAX_USED:
            raise TemporarilyUnavailable("too many registrations are under way")
        self._used[nonce] = expiry
