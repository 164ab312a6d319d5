# SPDX-License-Identifier: MIT
"""Session keys as fields: their public key is wrapped in octets, or stands in place, depending on where."""

from __future__ import annotations

from awala.asn1 import Element, der
from awala.crypto import SessionKey, SessionPublicKey
from awala.messages.structure import as_sequence, nested_fields, octets_field, retagged


def session_key_field(element: Element, number: int) -> SessionKey:
    """Read a session key whose public key is an OCTET STRING, as in connection params and registrations."""
    fields = nested_fields(element, number, "session key", least=2)
    public_key = SessionPublicKey.load(octets_field(fields[1], 1, "session public key"))
    return SessionKey(octets_field(fields[0], 0, "session key id"), public_key)


def session_key_element(number: int, key: SessionKey) -> bytes:
    """Write what `session_key_field` reads."""
    fields = der.implicit(0, key.key_id) + der.implicit(1, key.public_key.spki)
    return der.implicit(number, fields, constructed=True)


def session_key_field_in_place(element: Element, number: int) -> SessionKey:
    """Read a session key whose public key is a structure with a tag of its own, as next to a PDA."""
    fields = nested_fields(element, number, "session key", least=2)
    public_key = SessionPublicKey.load(as_sequence(fields[1].expect(0xA1, "session public key")))
    return SessionKey(octets_field(fields[0], 0, "session key id"), public_key)


def session_key_element_in_place(number: int, key: SessionKey) -> bytes:
    """Write what `session_key_field_in_place` reads."""
    fields = der.implicit(0, key.key_id) + retagged(key.public_key.spki, 1)
    return der.implicit(number, fields, constructed=True)
