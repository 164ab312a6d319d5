# SPDX-License-Identifier: MIT
"""Finds and validates certification paths (RS-002, rules §1 to §3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from awala.pki.certificate import Certificate
from awala.pki.errors import CertificateError, PathError, PathProblem
from awala.pki.issuance import Role
from awala.pki.lifetimes import CLOCK_TOLERANCE

MAX_INTERMEDIATES: Final = 16
"""How many certificates beside the leaf may be offered (rules §1)."""

_Path: TypeAlias = tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class PathPolicy:
    """What a certification path must be like."""

    tolerance: timedelta = CLOCK_TOLERANCE
    """How far outside its validity a certificate may still be used (rules §2)."""

    roles: tuple[Role, ...] | None = None
    """If given, the path has exactly these roles, leaf first and anchor last (rules §3)."""


DEFAULT_POLICY: Final = PathPolicy()
"""The policy for paths of any length and any roles."""


def build_path(
    leaf: Certificate,
    intermediates: Iterable[Certificate],
    anchors: Iterable[Certificate],
    *,
    at: datetime,
    policy: PathPolicy = DEFAULT_POLICY,
) -> tuple[Certificate, ...]:
    """Return the shortest path from ``leaf`` to one of the ``anchors``, both included.

    Any authority may be an anchor. An issuer is found by the octets of its name, and the signature
    has to match its key, so a certificate issued under an authority's old certificate leads to the
    renewed one. Order and superfluous certificates among the ``intermediates`` do not matter. Every
    certificate of the path, the anchor included, is valid ``at`` that moment, has no unknown critical
    extension and, above the leaf, may issue certificates for a path so long. A self-issued leaf that
    is an anchor itself yields a path that has it twice.

    Raises `PathError` about the certificate that came closest.
    """
    offered = [certificate for certificate in dict.fromkeys(intermediates) if certificate != leaf]
    if len(offered) > MAX_INTERMEDIATES:
        raise PathError(leaf, PathProblem.TOO_MANY_CERTIFICATES)
    trusted = tuple(anchors)
    search = _Search(at, policy)
    _check(leaf, 0, at, policy)
    waiting: deque[_Path] = deque([(leaf,)])
    while waiting:
        path = waiting.popleft()
        for complete in search.with_issuers(path, trusted, last=True):
            return complete
        for longer in search.with_issuers(path, tuple(offered), last=False):
            waiting.append(longer)
            offered.remove(longer[-1])  # the shortest way to it is known, so this ends
        search.note(path, PathError(path[-1], PathProblem.NO_ISSUER))
    raise search.closest()


class _Search:
    """One search for a path: its terms, and what failed so far."""

    def __init__(self, at: datetime, policy: PathPolicy) -> None:
        self._at = at
        self._policy = policy
        self._failures: list[tuple[int, PathError]] = []

    def with_issuers(
        self, path: _Path, candidates: tuple[Certificate, ...], *, last: bool
    ) -> Iterator[_Path]:
        """Yield the path with each of the candidates that issued its last certificate."""
        for candidate in candidates:
            if candidate.subject == path[-1].issuer:
                try:
                    _check_issuer(candidate, path, self._at, self._policy, last=last)
                except PathError as error:
                    self.note(path, error)
                else:
                    yield (*path, candidate)

    def note(self, path: _Path, failure: PathError) -> None:
        self._failures.append((len(path), failure))

    def closest(self) -> PathError:
        """Return the first failure among those that came farthest from the leaf."""
        return max(self._failures, key=lambda failure: failure[0])[1]


def _check(certificate: Certificate, index: int, at: datetime, policy: PathPolicy) -> None:
    """Check what every certificate of a path must fulfil at its place, counted from the leaf."""
    if certificate.not_before > at + policy.tolerance:
        raise PathError(certificate, PathProblem.NOT_YET_VALID)
    if certificate.not_after < at - policy.tolerance:
        raise PathError(certificate, PathProblem.EXPIRED)
    if certificate.critical_extensions:
        raise PathError(certificate, PathProblem.UNKNOWN_CRITICAL_EXTENSION)
    roles = policy.roles
    if roles is not None and (index >= len(roles) or not roles[index].matches(certificate)):
        raise PathError(certificate, PathProblem.WRONG_ROLE)


def _check_issuer(issuer: Certificate, path: _Path, at: datetime, policy: PathPolicy, *, last: bool) -> None:
    """Check that ``issuer`` may stand above ``path``, as its end or not, and issued its last certificate."""
    if not issuer.is_ca:
        raise PathError(issuer, PathProblem.NOT_AN_AUTHORITY)
    if issuer.path_length is not None:
        # RFC 5280 §6.1.4 (l): self-issued authorities do not count
        between = sum(not certificate.is_self_issued for certificate in path[1:])
        if between > issuer.path_length:
            raise PathError(issuer, PathProblem.PATH_TOO_LONG)
    _check(issuer, len(path), at, policy)
    if policy.roles is not None and last and len(path) + 1 != len(policy.roles):
        raise PathError(issuer, PathProblem.WRONG_ROLE)
    try:
        path[-1].verify_issued_by(issuer)
    except CertificateError:
        raise PathError(path[-1], PathProblem.BAD_SIGNATURE) from None
