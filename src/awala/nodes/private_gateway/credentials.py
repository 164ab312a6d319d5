# SPDX-License-Identifier: MIT
"""The private gateway's own key and certificates, and what it knows of its Internet gateway."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from awala.base.clock import Clock
from awala.crypto import IdentityPrivateKey, IdentityPublicKey
from awala.messages import Recipient
from awala.nodes.errors import NotInitialisedError, NotPairedError
from awala.pki import Certificate, CertificationPath, Role, issue
from awala.pki.lifetimes import BACKDATING, CARGO_DELIVERY_AUTHORIZATION_ISSUER_LIFE, RENEWAL_THRESHOLD
from awala.vault import Vault

IDENTITY_LABEL = "private-gateway"
PURPOSE_UPLINK = "uplink"
"""Certificates that the Internet gateway issued to this private gateway."""

PURPOSE_CDA_ISSUER = "cda-issuer"
"""Self-issued certificates under which cargo delivery authorisations are given."""

_NAMESPACE = "pairing"
_RECORD = "internet-gateway"


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
    """Keys and certificates, kept in memory and written to the vault before they are used."""

    def __init__(self, vault: Vault, key: IdentityPrivateKey, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self.key = key
        self._peer: InternetGatewayPeer | None = None
        self._uplink: list[CertificationPath] = []
        self._cda_issuers: list[Certificate] = []
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
        credentials._uplink = await vault.paths(subject_id=key.node_id, purpose=PURPOSE_UPLINK, now=now)
        issuers = await vault.paths(subject_id=key.node_id, purpose=PURPOSE_CDA_ISSUER, now=now)
        credentials._cda_issuers = [path.leaf for path in issuers]
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

    def uplink_path(self, now: datetime) -> CertificationPath:
        """Return the newest valid certificate from the Internet gateway; raises NotPairedError."""
        paths = self._valid_paths(now)
        if not paths:
            raise NotPairedError("the certificate from the Internet gateway has expired or was never issued")
        return paths[0]

    def own_certificates(self, now: datetime) -> list[Certificate]:
        """Return every unexpired certificate from the Internet gateway, the longest-lived first."""
        return [path.leaf for path in self._valid_paths(now)]

    def renewal_is_due(self, now: datetime) -> bool:
        """Say whether the certificate from the Internet gateway should be renewed (rules §2)."""
        paths = self._valid_paths(now)
        return not paths or paths[0].leaf.not_after - now <= RENEWAL_THRESHOLD

    def cda_issuers(self, now: datetime) -> list[Certificate]:
        """Return every unexpired issuer of cargo delivery authorisations."""
        return [issuer for issuer in self._cda_issuers if issuer.not_after > now]

    async def cda_issuer(self) -> Certificate:
        """Return the issuer for new cargo delivery authorisations; make one when due (rules §2)."""
        now = self._clock.now()
        valid = self.cda_issuers(now)
        if valid and valid[0].not_after - now > RENEWAL_THRESHOLD:
            return valid[0]
        issuer = await asyncio.to_thread(self._self_issue, now)
        await self._vault.save_path(CertificationPath(issuer, ()), purpose=PURPOSE_CDA_ISSUER)
        self._cda_issuers = [issuer, *valid]
        return issuer

    def _self_issue(self, now: datetime) -> Certificate:
        return issue(
            subject_key=self.key.public_key,
            issuer_key=self.key,
            issuer=None,
            role=Role.SELF_ISSUED_GATEWAY,
            not_before=now - BACKDATING,
            not_after=now + CARGO_DELIVERY_AUTHORIZATION_ISSUER_LIFE,
        )

    async def save_uplink_path(self, path: CertificationPath) -> None:
        """Keep a certificate from the Internet gateway beside the older ones."""
        await self._vault.save_path(path, purpose=PURPOSE_UPLINK)
        self._uplink = sorted([path, *self._uplink], key=lambda p: p.leaf.not_after, reverse=True)

    async def save_peer(self, peer: InternetGatewayPeer) -> None:
        """Remember the Internet gateway; what it issued must have been saved before."""
        document = {
            "id": peer.node_id,
            "address": peer.address,
            "key": peer.identity_key.spki.hex(),
        }
        await self._vault.put_record(_NAMESPACE, _RECORD, json.dumps(document).encode())
        self._set_peer(peer)

    def _set_peer(self, peer: InternetGatewayPeer) -> None:
        self._peer = peer
        self.paired.set()

    def _valid_paths(self, now: datetime) -> list[CertificationPath]:
        peer_id = self._peer.node_id if self._peer else None
        return [
            path
            for path in self._uplink
            if path.leaf.not_after > now and (peer_id is None or path.leaf.issuer_id == peer_id)
        ]

    def life_left(self, now: datetime) -> timedelta:
        """Return how long the newest certificate from the Internet gateway still lives."""
        paths = self._valid_paths(now)
        return paths[0].leaf.not_after - now if paths else timedelta()


def _parse_peer(record: bytes) -> InternetGatewayPeer:
    document = json.loads(record)
    return InternetGatewayPeer(
        node_id=document["id"],
        address=document["address"],
        identity_key=IdentityPublicKey.load(bytes.fromhex(document["key"])),
    )
