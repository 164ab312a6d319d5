# SPDX-License-Identifier: MIT
"""The Internet gateway's address, its identity key and its self-issued certificates."""

from __future__ import annotations

import asyncio
from datetime import datetime

from awala.base.clock import Clock
from awala.base.errors import ConfigurationError
from awala.crypto import IdentityPrivateKey, SessionKey
from awala.messages import NodeConnectionParams, is_internet_address, normalise_address
from awala.nodes.errors import NotInitialisedError
from awala.nodes.held_paths import HeldPaths
from awala.pki import Certificate, CertificationPath, Role, issue_now
from awala.pki.lifetimes import INTERNET_GATEWAY_RENEWAL_INTERVAL
from awala.vault import Vault

IDENTITY_LABEL = "internet-gateway"
PURPOSE_OWN = "own"
_NAMESPACE = "internet-gateway"
_ADDRESS = "address"


class Credentials:
    """Everything with which the Internet gateway proves who it is; kept in memory and in the vault."""

    def __init__(self, vault: Vault, key: IdentityPrivateKey, address: str, clock: Clock) -> None:
        self._clock = clock
        self._own = HeldPaths(vault, subject_id=key.node_id, purpose=PURPOSE_OWN)
        self._renewing = asyncio.Lock()
        self.key = key
        self.address = address

    @classmethod
    async def create(cls, vault: Vault, address: str) -> None:
        """Make the identity key and note the Internet address, unless they exist.

        Raises ConfigurationError for what is no domain name.
        """
        if not is_internet_address(address):
            raise ConfigurationError("the Internet address is not a domain name")
        address = normalise_address(address)
        await vault.put_record_if_absent(_NAMESPACE, _ADDRESS, address.encode("ascii"))
        if await vault.identity(IDENTITY_LABEL) is None:
            key = await asyncio.to_thread(IdentityPrivateKey.generate)
            await vault.save_identity(IDENTITY_LABEL, key)

    @classmethod
    async def load(cls, vault: Vault, clock: Clock) -> Credentials:
        """Read everything from the vault; raise NotInitialisedError if there is nothing."""
        key = await vault.identity(IDENTITY_LABEL)
        address = await vault.get_record(_NAMESPACE, _ADDRESS)
        if key is None or address is None:
            raise NotInitialisedError("this data directory holds no Internet gateway")
        credentials = cls(vault, key, address.decode("ascii"), clock)
        await credentials._own.load(clock.now())
        await credentials.renew_if_due()
        return credentials

    @property
    def node_id(self) -> str:
        """The Internet gateway's id."""
        return self.key.node_id

    def own_certificates(self, now: datetime) -> list[Certificate]:
        """Return every unexpired self-issued certificate, the longest-lived first; all are trusted."""
        return [path.leaf for path in self._own.unexpired(now)]

    async def renew_if_due(self) -> None:
        """Issue a new own certificate every 30 days, so that what it issues lives long (rules §2)."""
        async with self._renewing:
            now = self._clock.now()
            current = self._find_current(now)
            if current is not None and now - current.not_before < INTERNET_GATEWAY_RENEWAL_INTERVAL:
                return
            certificate = await asyncio.to_thread(self._self_issue, now)
            await self._own.add(CertificationPath(certificate, ()))

    async def issuer(self) -> Certificate:
        """Return the certificate that issues others now; one is made at once if the clock has left none."""
        if self._find_current(self._clock.now()) is None:
            await self.renew_if_due()
        return self.current(self._clock.now())

    def current(self, now: datetime) -> Certificate:
        """Return the newest certificate that is valid now; raises NotInitialisedError if there is none."""
        current = self._find_current(now)
        if current is None:
            raise NotInitialisedError("no certificate of this Internet gateway is valid at this time")
        return current

    def _find_current(self, now: datetime) -> Certificate | None:
        """Return the newest valid one; a clock that was ahead for a while may have left one for later."""
        path = self._own.in_use(now)
        return path.leaf if path else None

    def _self_issue(self, now: datetime) -> Certificate:
        return issue_now(
            subject_key=self.key.public_key,
            issuer_key=self.key,
            issuer=None,
            role=Role.SELF_ISSUED_GATEWAY,
            now=now,
        )


class PublishedParams:
    """The connection parameters that this Internet gateway publishes, with a static session key."""

    def __init__(self, address: str, key: IdentityPrivateKey, session_key: SessionKey) -> None:
        self.octets = NodeConnectionParams(address, key.public_key, session_key).serialize()
