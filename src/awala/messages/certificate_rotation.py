# SPDX-License-Identifier: MIT
"""The certificate rotation: a gateway's new certificate for its peer, sent in cargo (RS-000, GCR)."""

from __future__ import annotations

from dataclasses import dataclass

from awala.asn1 import Octets
from awala.messages.errors import reading, writing
from awala.messages.prefix import MessageType, without_prefix
from awala.messages.structure import sequence_fields
from awala.pki import CertificationPath, PathForm

_LEAF_IN_PLACE = 0xA0


@dataclass(frozen=True, slots=True)
class CertificateRotation:
    """A new certificate with the certificates that issued it.

    The two deployed stacks write the path in ways that the other cannot read; ``form`` says which
    one this is, or is to be (rules §6). Nothing has verified the path: see rules §3.
    """

    path: CertificationPath
    form: PathForm = PathForm.RS002

    @classmethod
    def parse(cls, data: Octets) -> CertificateRotation:
        """Read a rotation in either form; raise `MalformedMessageError`."""
        body = without_prefix(data, MessageType.CERTIFICATE_ROTATION)
        with reading("certificate rotation"):
            in_place = sequence_fields(body, 1)[0].identifier == _LEAF_IN_PLACE
            form = PathForm.KOTLIN if in_place else PathForm.RS002
            return cls(CertificationPath.parse(body), form)

    def serialize(self) -> bytes:
        """Return the rotation in its ``form``."""
        with writing("certificate rotation"):
            return MessageType.CERTIFICATE_ROTATION.prefix + self.path.serialize(self.form)
