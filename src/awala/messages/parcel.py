# SPDX-License-Identifier: MIT
"""The parcel: what endpoints send each other (RS-000, Parcel), and who may send one to whom (rules §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from awala.messages.errors import InvalidMessageError
from awala.messages.limits import EMITTED_PARCEL_MAX, MAX_PARCEL_SIZE
from awala.messages.prefix import MessageType
from awala.messages.ramf import RamfMessage
from awala.pki import Certificate, PkiError, RateLimit, Role

_OWN_GATEWAY_ROLES = (Role.GATEWAY, Role.SELF_ISSUED_GATEWAY)


@dataclass(frozen=True, slots=True)
class ParcelPath:
    """The certificates that authorise a parcel, as a node on its way has verified them.

    ``authorization`` is the PDA. ``private_gateway`` is None at the recipient's endpoint and at its
    private gateway, where the path ends before; ``anchor`` is the node's own certificate.
    """

    authorization: Certificate
    endpoint: Certificate
    private_gateway: Certificate | None
    anchor: Certificate

    @property
    def sender_id(self) -> str:
        """The id of the endpoint that may send."""
        return self.authorization.node_id

    @property
    def endpoint_id(self) -> str:
        """The id of the endpoint that let it: the parcel's recipient."""
        return self.endpoint.node_id

    @property
    def rate_limit(self) -> RateLimit | None:
        """How many parcels the sender may send the endpoint, or None if that is not limited (RS-002)."""
        return self.authorization.rate_limit

    @property
    def private_gateway_id(self) -> str | None:
        """The id of the private gateway that serves the recipient, or None if the path ends before."""
        return self.private_gateway.node_id if self.private_gateway is not None else None


@dataclass(frozen=True, slots=True)
class Parcel(RamfMessage):
    """A parcel (RS-000, Parcel)."""

    TYPE: ClassVar[MessageType] = MessageType.PARCEL
    NAME: ClassVar[str] = "parcel"
    MAX_SIZE: ClassVar[int] = MAX_PARCEL_SIZE
    EMITTED_MAX: ClassVar[int] = EMITTED_PARCEL_MAX

    def authorise_at_internet_gateway(
        self, own_certificates: Sequence[Certificate], now: datetime
    ) -> ParcelPath:
        """Authorise the parcel at the recipient's Internet gateway (rules §3).

        The path must be exactly PDA, endpoint, private gateway, one of ``own_certificates``, each with
        the basic constraints of its role. Raises `InvalidMessageError`.
        """
        path = self._authorise_exactly(
            own_certificates, now, (Role.DELIVERY_AUTHORIZATION, Role.ENDPOINT, Role.GATEWAY)
        )
        _require_role(path[3], (Role.SELF_ISSUED_GATEWAY,))
        return ParcelPath(path[0], path[1], path[2], path[3])

    def authorise_at_private_gateway(
        self, own_certificates: Sequence[Certificate], now: datetime
    ) -> ParcelPath:
        """Authorise the parcel at the recipient's private gateway: PDA, endpoint, own certificate (rules §3).

        Raises `InvalidMessageError`.
        """
        path = self._authorise_exactly(own_certificates, now, (Role.DELIVERY_AUTHORIZATION, Role.ENDPOINT))
        _require_role(path[2], _OWN_GATEWAY_ROLES)
        return ParcelPath(path[0], path[1], None, path[2])

    def authorise_at_endpoint(self, own_certificates: Sequence[Certificate], now: datetime) -> ParcelPath:
        """Authorise the parcel at its recipient: PDA, own certificate (rules §3).

        Raises `InvalidMessageError`.
        """
        path = self._authorise_exactly(own_certificates, now, (Role.DELIVERY_AUTHORIZATION,))
        _require_role(path[1], (Role.ENDPOINT,))
        return ParcelPath(path[0], path[1], None, path[1])

    def check_chain(self) -> None:
        """Refuse a parcel whose embedded chain contradicts its recipient (rules §3).

        Any gateway can see this, whoever serves the recipient: the sender's certificate is a delivery
        authorisation, its issuer's certificate is embedded, and that issuer is not the recipient.
        A parcel without such evidence passes: it may be for an Internet endpoint, which needs none.

        Raises `InvalidMessageError`.
        """
        leaf = self.sender_certificate
        if leaf.is_ca or leaf.is_self_issued:
            return
        issuers = [certificate for certificate in self.sender_chain if _issued(certificate, leaf)]
        if issuers and not any(issuer.node_id == self.recipient.id for issuer in issuers):
            raise InvalidMessageError("The sender was authorised by another endpoint than the recipient")

    def _authorise_exactly(
        self, anchors: Sequence[Certificate], now: datetime, roles: Sequence[Role]
    ) -> tuple[Certificate, ...]:
        """Return a path of these roles and one anchor."""
        path = self.authorise(anchors, now)
        if len(path) != len(roles) + 1:
            raise InvalidMessageError(
                f"The path of the sender has {len(path)} certificates where {len(roles) + 1} are due"
            )
        for certificate, role in zip(path, roles, strict=False):
            _require_role(certificate, (role,))
        _require_readable_limit(path[0])
        return path


def _issued(issuer: Certificate, certificate: Certificate) -> bool:
    try:
        certificate.verify_issued_by(issuer)
    except PkiError:
        return False
    return True


def _require_readable_limit(authorization: Certificate) -> None:
    """Refuse an authorisation whose limit nobody can enforce."""
    try:
        _ = authorization.rate_limit
    except PkiError as error:
        raise InvalidMessageError("The rate limit in the sender's authorisation is malformed") from error


def _require_role(certificate: Certificate, roles: Sequence[Role]) -> None:
    for role in roles:
        if role.matches(certificate):
            return
    names = " or ".join(role.name.lower().replace("_", " ") for role in roles)
    raise InvalidMessageError(f"A certificate on the path lacks the constraints of its role: {names}")
