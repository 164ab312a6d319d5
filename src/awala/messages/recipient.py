# SPDX-License-Identifier: MIT
"""Who a message is for: a node id and, for nodes that the Internet can reach, an address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from awala.asn1 import Element, der
from awala.messages.errors import InvalidMessageError, MalformedMessageError
from awala.messages.limits import MAX_ADDRESS_LENGTH, MAX_RECIPIENT_ID_LENGTH
from awala.messages.structure import nested_fields, text_field

_ROUTABLE_ID: Final = re.compile(r"0[0-9a-f]{64}")
_READ_ID: Final = re.compile(r"[0-9a-f]+")
_WRITTEN_ID: Final = re.compile(r"0[0-9a-f]+")
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_READ_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_WRITTEN_ADDRESS: Final = re.compile(rf"(?:{_LABEL}\.)+(?:[a-z]{{2,24}}|xn--[a-z0-9-]{{0,58}}[a-z0-9])")
_READ_ADDRESS: Final = re.compile(rf"(?:{_READ_LABEL}\.)+(?![0-9]+$){_READ_LABEL}")

_KEPT: Final = 1024
_TAG: Final = 0xA0
_LONG: Final = 256
_USUAL: Final = re.compile(
    rb"\x80\x41(0[0-9a-f]{64})(?:\x81([\x04-\x7f])(" + _WRITTEN_ADDRESS.pattern.encode() + rb"))?"
)
"""A field with the id of a node and perhaps an address, in its usual form; it is read in one look."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """The recipient of a RAMF message (RS-001 §4).

    ``internet_address`` is the domain name at which the recipient, or the gateway that serves it,
    is found; None if the next node alone knows the way.
    """

    id: str
    internet_address: str | None = None

    @classmethod
    def decode(cls, element: Element) -> Recipient:
        """Read the field; raise `MalformedMessageError` if deployed parsers would not take it."""
        content = element.content
        usual = _USUAL.fullmatch(content) if element.identifier == _TAG and len(content) < _LONG else None
        if usual is not None and (usual[2] is None or usual[2][0] == len(usual[3])):
            return cls(usual[1].decode(), None if usual[3] is None else usual[3].decode())
        fields = nested_fields(element, 0, "recipient", least=1)
        node_id = text_field(fields[0], 0, "recipient id", MAX_RECIPIENT_ID_LENGTH)
        if not _READ_ID.fullmatch(node_id):
            raise MalformedMessageError("The recipient id is not hexadecimal in lower case")
        # One deployed parser takes an empty address for none at all.
        address = address_field(fields[1], 1) if len(fields) > 1 and fields[1].content else None
        return cls(node_id, address)

    def encode(self) -> bytes:
        """Return the field of a message; raise `InvalidMessageError` for what peers would not take."""
        return _encode(self.id, self.internet_address)


@lru_cache(maxsize=_KEPT)
def _encode(node_id: str, address: str | None) -> bytes:
    """Return the field; those who write to somebody do so again."""
    if not _WRITTEN_ID.fullmatch(node_id) or len(node_id) > MAX_RECIPIENT_ID_LENGTH:
        raise InvalidMessageError("The recipient id is not 0 and hexadecimal digits in lower case")
    fields = der.implicit(0, node_id.encode("ascii"))
    if address is not None:
        fields += der.implicit(1, address_content(address))
    return der.implicit(0, fields, constructed=True)


def is_routable_id(text: str) -> bool:
    """Tell whether this is the id of a node: ``0`` and 64 hexadecimal digits in lower case (rules §1)."""
    return _ROUTABLE_ID.fullmatch(text) is not None


def is_internet_address(text: str) -> bool:
    """Tell whether this is a domain name, in any case and perhaps with a final dot."""
    if not text.isascii():
        return False
    name = normalise_address(text)
    return len(name) <= MAX_ADDRESS_LENGTH and _READ_ADDRESS.fullmatch(name) is not None


def normalise_address(text: str) -> str:
    """Return the form in which addresses are compared: lower case, without a final dot (rules §1)."""
    return text.lower().removesuffix(".")


def address_field(element: Element, number: int) -> str:
    """Return the Internet address in a field; raise `MalformedMessageError` if it is no domain name."""
    address = text_field(element, number, "Internet address", MAX_ADDRESS_LENGTH + 1)
    if not is_internet_address(address):
        raise MalformedMessageError("The Internet address is not a domain name")
    return address


def address_content(address: str) -> bytes:
    """Return the contents octets of an address that all deployed parsers take.

    That is a domain name in lower case without a final dot, whose last label is a word or ``xn--…``.
    Raises `InvalidMessageError` for anything else.
    """
    if len(address) > MAX_ADDRESS_LENGTH or not _WRITTEN_ADDRESS.fullmatch(address):
        raise InvalidMessageError("The Internet address is not a plain domain name in lower case")
    return address.encode("ascii")
