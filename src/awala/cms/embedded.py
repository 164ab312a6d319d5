# SPDX-License-Identifier: MIT
"""Remembers the certificates that senders embed, which are the same from one message to the next."""

from __future__ import annotations

from typing import Final

from awala.pki import Certificate

_KEPT: Final = 512
_MAX_OCTETS: Final = 8192  # of all certificates in a message; usual ones take 1.2 KB each
_NAME_OCTETS: Final = 16

_known: dict[bytes, tuple[bytes, tuple[Certificate, ...]]] = {}


def recall_embedded(encoding: bytes) -> tuple[Certificate, ...] | None:
    """Return the certificates that were read from exactly these octets, None if they are new.

    They are looked up by their last octets, which belong to a signature and are much faster to hash.
    """
    known = _known.get(encoding[-_NAME_OCTETS:])
    return known[1] if known is not None and known[0] == encoding else None


def remember_embedded(encoding: bytes, certificates: tuple[Certificate, ...]) -> None:
    """Keep certificates for `recall_embedded`; what is kept is bounded in number and size."""
    if len(encoding) > _MAX_OCTETS:
        return
    if len(_known) >= _KEPT:
        _known.clear()
    _known[encoding[-_NAME_OCTETS:]] = (encoding, certificates)


def clear_embedded() -> None:
    """Forget everything."""
    _known.clear()
