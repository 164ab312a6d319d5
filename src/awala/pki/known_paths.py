# SPDX-License-Identifier: MIT
"""Remembers which paths were found, so that a sender's next message need not search again.

What is remembered is all that does not depend on the time: names, signatures, constraints, roles.
Dates are checked on every use, by whoever recalls a path (rules §2).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from awala.pki.certificate import Certificate
from awala.pki.issuance import Role

_KEPT: Final = 512
_MAX_OCTETS: Final = 8192  # of the certificates that were offered; usual ones take 1.2 KB each

PathTerms: TypeAlias = tuple[tuple[Role, ...] | None, frozenset[str], bool]
"""What a policy says that does not depend on the time."""

_Path: TypeAlias = tuple[Certificate, ...]
_Key: TypeAlias = tuple[Certificate, _Path, _Path, PathTerms]

_paths: dict[_Key, _Path] = {}


def recall_path(leaf: Certificate, offered: _Path, trusted: _Path, terms: PathTerms) -> _Path | None:
    """Return the path that was found for exactly these certificates and terms, None if none was."""
    return _paths.get((leaf, offered, trusted, terms))


def remember_path(leaf: Certificate, offered: _Path, trusted: _Path, terms: PathTerms, path: _Path) -> None:
    """Keep a path for `recall_path`; what is kept is bounded in number and size.

    No certificate may have been passed over for its dates: at another time the path might be another.
    """
    if sum([len(certificate.encoding) for certificate in (leaf, *offered)]) > _MAX_OCTETS:
        return
    if len(_paths) >= _KEPT:
        _paths.clear()
    _paths[leaf, offered, trusted, terms] = path


def clear_known_paths() -> None:
    """Forget all paths."""
    _paths.clear()
