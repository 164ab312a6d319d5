# SPDX-License-Identifier: MIT
"""The vault's port: the operations that every adapter offers alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from awala.crypto import IdentityPrivateKey
from awala.pki import Certificate, CertificationPath


class OwnSessionKey(Protocol):
    """A session key of one of this node's identities."""

    @property
    def key_id(self) -> bytes:
        """The octets by which peers name the key."""
        ...

    @property
    def peer_id(self) -> str | None:
        """The only peer that may use the key, or None."""
        ...

    @property
    def private_key(self) -> bytes:
        """The private key: PKCS#8, DER."""
        ...

    @property
    def created(self) -> datetime:
        """When the key was made."""
        ...

    @property
    def until(self) -> datetime | None:
        """When what carries the key expires; None for a key that goes out with messages."""
        ...

    @property
    def proven(self) -> bool:
        """Whether a peer has encrypted to the key."""
        ...

    @property
    def first_sent(self) -> datetime:
        """The earliest time, by our clock, at which the key counts for peers."""
        ...

    @property
    def last_sent(self) -> datetime:
        """The time after which, by our clock, the key went out with no message."""
        ...


class PeerSessionKey(Protocol):
    """The current session key of a peer."""

    @property
    def key_id(self) -> bytes:
        """The octets by which the peer knows the key."""
        ...

    @property
    def public_key(self) -> bytes:
        """The public key: SubjectPublicKeyInfo, DER."""
        ...

    @property
    def as_of(self) -> datetime:
        """The date from which the key counts."""
        ...


class SessionKeys(Protocol):
    """The session keys in a vault.

    This is the same port as the session protocol's own, stated again because
    the two packages do not know each other; what the operations mean is
    written there.
    """

    async def save_own_key(
        self,
        *,
        own_id: str,
        peer_id: str | None,
        key_id: bytes,
        private_key: bytes,
        created: datetime,
        until: datetime | None,
        first_sent: datetime,
    ) -> None:
        """Keep a new key of ours."""
        ...

    async def widen_sent(self, *, own_id: str, key_id: bytes, first: datetime, last: datetime) -> None:
        """Widen the span of time in which a key of ours went out."""
        ...

    async def own_key(self, *, own_id: str, key_id: bytes) -> OwnSessionKey | None:
        """Return the key of ours with that id."""
        ...

    async def newest_own_key(self, *, own_id: str, peer_id: str | None) -> OwnSessionKey | None:
        """Return the key saved last for the peer or for nobody in particular."""
        ...

    async def peer_key(self, *, own_id: str, peer_id: str) -> PeerSessionKey | None:
        """Return the peer's current key."""
        ...

    async def adopt_peer_key(
        self,
        *,
        own_id: str,
        peer_id: str,
        key_id: bytes,
        public_key: bytes,
        as_of: datetime,
        anew_as_of: datetime,
    ) -> bool:
        """Make a key that was handed out the peer's current one, unless it was adopted last."""
        ...

    async def record_opened(
        self,
        *,
        own_id: str,
        peer_id: str,
        own_key_id: bytes,
        key_id: bytes,
        public_key: bytes,
        as_of: datetime,
        now: datetime,
    ) -> None:
        """Record that the peer encrypted to a key of ours and sent its own along."""
        ...

    async def prune(
        self,
        *,
        now: datetime,
        superseded_before: datetime,
        until_before: datetime,
        keep: Collection[bytes],
    ) -> int:
        """Erase what nobody may use any more, and return how many keys went."""
        ...

    async def forget(self, *, own_id: str, peer_id: str) -> None:
        """Erase everything that is bound to a peer."""
        ...


class Withdrawals(Protocol):
    """The withdrawn authorisations in a vault, each under the private gateway that said so (rules §3).

    A withdrawal counts on paths through that gateway only, until what it withdraws has ended.
    """

    async def add(
        self, *, gateway_id: str, endpoint_id: str, serials: Collection[bytes], expiry: datetime
    ) -> None:
        """Withdraw what an endpoint issued with these serial numbers, or all it issued if there are none.

        Raises StorageFullError if too many are withdrawn under that gateway; nothing is kept then.
        """
        ...

    async def covers(self, *, gateway_id: str, endpoint_id: str, serial: bytes, now: datetime) -> bool:
        """Say whether an authorisation that the endpoint issued is withdrawn on paths through the gateway."""
        ...

    async def delete_expired(self, now: datetime) -> int:
        """Erase the withdrawals of what has ended by itself, and return how many went."""
        ...


class Vault(Protocol):
    """Keeps a node's keys, certificates and small records.

    Every change is durable when the call returns, and is made whole or not at
    all. Every method may be called from several tasks at once, and repeated.
    """

    @property
    def session_keys(self) -> SessionKeys:
        """The session keys in this vault."""
        ...

    @property
    def withdrawals(self) -> Withdrawals:
        """The withdrawn authorisations in this vault."""
        ...

    async def identity(self, label: str = "node") -> IdentityPrivateKey | None:
        """Return the identity key with that label."""
        ...

    async def identities(self) -> list[str]:
        """List the labels of all identity keys, sorted."""
        ...

    async def save_identity(self, label: str, key: IdentityPrivateKey) -> None:
        """Keep an identity key.

        Raises VaultError when the label stands for another key: an identity
        is never overwritten.
        """
        ...

    async def delete_identity(self, label: str) -> None:
        """Erase an identity key for good; nothing happens if there is none."""
        ...

    async def save_path(self, path: CertificationPath, *, purpose: str) -> None:
        """Keep a path for its leaf's subject under a purpose; one that is there already changes nothing."""
        ...

    async def paths(self, *, subject_id: str, purpose: str, now: datetime) -> list[CertificationPath]:
        """Return the paths of which no certificate has expired, that which lasts longest first."""
        ...

    async def certificates(self, *, subject_id: str, purpose: str, now: datetime) -> list[Certificate]:
        """Return the leaves of ``paths``, in the same order."""
        ...

    async def delete_path(self, path: CertificationPath, *, purpose: str) -> None:
        """Erase exactly this path under a purpose; nothing happens if it is not there."""
        ...

    async def delete_paths(self, *, subject_id: str, purpose: str) -> None:
        """Erase the paths of a subject under a purpose."""
        ...

    async def delete_expired_paths(self, now: datetime) -> int:
        """Erase every path with a certificate that has expired, and return how many went."""
        ...

    async def put_record(self, namespace: str, key: str, value: bytes) -> None:
        """Keep a record, in place of one with the same name."""
        ...

    async def put_records(self, namespace: str, records: Mapping[str, bytes]) -> None:
        """Keep several records, all of them or none."""
        ...

    async def put_record_if_absent(self, namespace: str, key: str, value: bytes) -> bytes | None:
        """Keep a record unless there is one; return None if it was kept, else the one that stands."""
        ...

    async def get_record(self, namespace: str, key: str) -> bytes | None:
        """Return a record."""
        ...

    async def records(self, namespace: str) -> dict[str, bytes]:
        """Return all records of a namespace, sorted by name."""
        ...

    async def delete_record(self, namespace: str, key: str) -> None:
        """Erase a record; nothing happens if there is none."""
        ...

    async def close(self) -> None:
        """Finish what is under way and close the vault."""
        ...
