# SPDX-License-Identifier: MIT
"""The private gateway's own key and certificates, and what it knows of its Internet gateways."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.crypto import IdentityPrivateKey, IdentityPublicKey
from awala.messages import Recipient
from awala.nodes.errors import CertificateExpiredError, NotInitialisedError, NotPairedError
from awala.nodes.held_paths import HeldPaths
from awala.pki import Certificate, CertificationPath, Role, issue_now
from awala.pki.lifetimes import RENEWAL_THRESHOLD
from awala.vault import Vault

IDENTITY_LABEL = "private-gateway"
PURPOSE_UPLINK = "uplink"
"""Certificates that Internet gateways issued to this private gateway."""

PURPOSE_CDA_ISSUER = "cda-issuer"
"""Self-issued certificates under which cargo delivery authorisations are given."""

_NAMESPACE = "pairing"
_RECORD = "internet-gateway"
_FORMER = "former-internet-gateways"
"""The vault's namespace of Internet gateways that this private gateway was paired with before."""


@dataclass(frozen=True, slots=True)
class InternetGatewayPeer:
    """The Internet gateway that this private gateway is paired with; its key never changes by itself."""

    node_id: str
    address: str
    identity_key: IdentityPublicKey

    @property
    def recipient(self) -> Recipient:
        """How messages to it are addressed."""
        return Recipient(self.node_id, self.address)


class Credentials:
    """Keys and certificates, kept in memory and written to the vault before they are used.

    A former Internet gateway counts until the last certificate that it issued has ended (decision 46).
    """

    def __init__(self, vault: Vault, key: IdentityPrivateKey, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self.key = key
        self._peer: InternetGatewayPeer | None = None
        self._former: dict[str, InternetGatewayPeer] = {}
        self._uplink = HeldPaths(vault, subject_id=key.node_id, purpose=PURPOSE_UPLINK)
        self._cda_issuers = HeldPaths(vault, subject_id=key.node_id, purpose=PURPOSE_CDA_ISSUER)
        self._changed = asyncio.Event()
        self.paired = asyncio.Event()

    @classmethod
    async def create(cls, vault: Vault) -> None:
        """Make the identity key, unless there is one."""
        if await vault.identity(IDENTITY_LABEL) is None:
            key = await asyncio.to_thread(IdentityPrivateKey.generate)
            await vault.save_identity(IDENTITY_LABEL, key)

    @classmethod
    async def load(cls, vault: Vault, clock: Clock) -> Credentials:
        """Read everything from the vault; raise NotInitialisedError if there is no identity key."""
        key = await vault.identity(IDENTITY_LABEL)
        if key is None:
            raise NotInitialisedError("this data directory holds no private gateway")
        credentials = cls(vault, key, clock)
        now = clock.now()
        await credentials._uplink.load(now)
        await credentials._cda_issuers.load(now)
        former = [_parse_peer(record) for record in (await vault.records(_FORMER)).values()]
        credentials._former = {peer.node_id: peer for peer in former}
        record = await vault.get_record(_NAMESPACE, _RECORD)
        if record is not None:
            credentials._set_peer(_parse_peer(record))
        return credentials

    @property
    def node_id(self) -> str:
        """The private gateway's id."""
        return self.key.node_id

    @property
    def peer(self) -> InternetGatewayPeer:
        """The paired Internet gateway; raises NotPairedError."""
        if self._peer is None:
            raise NotPairedError("this private gateway is not paired with an Internet gateway")
        return self._peer

    @property
    def known_peer(self) -> InternetGatewayPeer | None:
        """The paired Internet gateway, or None."""
        return self._peer

    def gateways(self, now: datetime) -> list[InternetGatewayPeer]:
        """Return the paired Internet gateway, then the former ones whose certificate still lives."""
        return [
            peer
            for peer in self.known_gateways()
            if peer == self._peer or self._uplink.in_use(now, peer.node_id) is not None
        ]

    def known_gateways(self) -> list[InternetGatewayPeer]:
        """Return the paired Internet gateway, then all former ones, also those that ended for us."""
        return [self._peer, *self._former.values()] if self._peer else []

    def changed(self) -> asyncio.Event:
        """Return what is set once another certificate, or another Internet gateway, is in use than now."""
        return self._changed

    def uplink_path(self, now: datetime, peer_id: str | None = None) -> CertificationPath:
        """Return the certificate to show to an Internet gateway, the paired one unless told otherwise.

        Raises NotPairedError, CertificateExpiredError.
        """
        path = self._uplink.in_use(now, peer_id or self.peer.node_id)
        if path is None:
            raise CertificateExpiredError("the certificate from the Internet gateway has expired")
        return path

    def own_certificates(self, now: datetime) -> list[Certificate]:
        """Return every unexpired certificate from an Internet gateway: all of them are trusted.

        Those of the paired one come first, the longest-lived before the others.
        """
        return [
            path.leaf for peer in self.gateways(now) for path in self._uplink.unexpired(now, peer.node_id)
        ]

    def renewal_is_due(self, now: datetime) -> bool:
        """Say whether the certificate from the paired Internet gateway should be renewed (rules §2)."""
        return self.life_left(now) <= RENEWAL_THRESHOLD

    def life_left(self, now: datetime) -> timedelta:
        """Return how long the certificate from the paired Internet gateway still lives."""
        path = self._uplink.in_use(now, self._peer.node_id) if self._peer else None
        return path.leaf.not_after - now if path else timedelta()

    def cda_issuers(self, now: datetime) -> list[Certificate]:
        """Return every unexpired issuer of cargo delivery authorisations."""
        return [path.leaf for path in self._cda_issuers.unexpired(now)]

    async def cda_issuer(self) -> Certificate:
        """Return the issuer for new cargo delivery authorisations; make one when due (rules §2)."""
        now = self._clock.now()
        current = self._cda_issuers.in_use(now)
        if current is not None and current.leaf.not_after - now > RENEWAL_THRESHOLD:
            return current.leaf
        issuer = await asyncio.to_thread(self._self_issue, now)
        await self._cda_issuers.add(CertificationPath(issuer, ()))
        return issuer

    def _self_issue(self, now: datetime) -> Certificate:
        return issue_now(
            subject_key=self.key.public_key,
            issuer_key=self.key,
            issuer=None,
            role=Role.SELF_ISSUED_GATEWAY,
            now=now,
        )

    async def save_uplink_path(self, path: CertificationPath) -> None:
        """Keep a certificate from an Internet gateway beside the older ones."""
        now = self._clock.now()
        before = self._in_use(now)
        await self._uplink.add(path)
        if self._in_use(now) != before:
            self._tell()

    async def save_peer(self, peer: InternetGatewayPeer) -> None:
        """Remember the Internet gateway; what it issued must have been saved before.

        Another one that was paired until now becomes a former one.
        """
        before = self._peer
        if before is not None and before.node_id != peer.node_id:
            await self._vault.put_record(_FORMER, before.node_id, _serialize_peer(before))
            self._former[before.node_id] = before
        await self._vault.put_record(_NAMESPACE, _RECORD, _serialize_peer(peer))
        self._set_peer(peer)
        if peer != before:
            self._tell()

    def _set_peer(self, peer: InternetGatewayPeer) -> None:
        self._peer = peer
        self._former.pop(peer.node_id, None)  # its record may stay: it counts only while it is not paired
        self.paired.set()

    def _in_use(self, now: datetime) -> CertificationPath | None:
        return self._uplink.in_use(now, self._peer.node_id) if self._peer else None

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _serialize_peer(peer: InternetGatewayPeer) -> bytes:
    document = {"id": peer.node_id, "address": peer.address, "key": peer.identity_key.spki.hex()}
    return json.dumps(document).encode()


def _parse_peer(record: bytes) -> InternetGatewayPeer:
    document = json.loads(record)
    return InternetGatewayPeer(
        node_id=document["id"],
        address=document["address"],
        identity_key=IdentityPublicKey.load(bytes.fromhex(document["key"])),
    )
