# SPDX-License-Identifier: MIT
"""Takes off the armour that text tools put around keys and certificates (RFC 7468)."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Final

from awala.messages.errors import MalformedMessageError

_ARMOUR: Final = re.compile(rb"\s*-----BEGIN ([A-Z0-9 ]+)-----\s([^-]*)-----END \1-----\s*")
_WHITESPACE: Final = b" \t\n\r\f\v"
_START: Final = re.compile(rb"\s*-----BEGIN ")


def without_armour(data: bytes) -> bytes:
    """Return what the armour protects, or ``data`` if there is none; raise `MalformedMessageError`."""
    if not _START.match(data):
        return data
    armour = _ARMOUR.fullmatch(data)
    if armour is None:
        raise MalformedMessageError("The PEM armour is damaged, or holds more than one thing")
    try:
        return b64decode(armour[2].translate(None, _WHITESPACE), validate=True)
    except Base64Error:
        raise MalformedMessageError("What is inside the PEM armour is not in base 64") from None
