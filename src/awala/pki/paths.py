# SPDX-License-Identifier: MIT
"""Finds and validates certification paths (RS-002, rules §1 to §3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from awala.pki.certificate import Certificate
from awala.pki.errors import CertificateError, PathError, PathProblem
from awala.pki.issuance import Role
from awala.pki.known_paths import PathTerms, recall_path, remember_path
from awala.pki.lifetimes import CLOCK_TOLERANCE

MAX_INTERMEDIATES: Final = 16
"""How many certificates beside the leaf may be offered (rules §1)."""

_START_OF_TIME: Final = datetime.min.replace(tzinfo=UTC)
_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)
_DATE_PROBLEMS: Final = frozenset({PathProblem.NOT_YET_VALID, PathProblem.EXPIRED})

_Path: TypeAlias = tuple[Certificate, ...]


@dataclass(frozen=True, slots=True)
class PathPolicy:
    """What a certification path must be like, at whatever time.

    The moment as of which dates are judged is no part of it, so that a policy can be a constant.
    """

    tolerance: timedelta = CLOCK_TOLERANCE
    """How far outside its validity a certificate may still be used (rules §2)."""

    roles: tuple[Role, ...] | None = None
    """If given, the path has exactly these roles, leaf first and anchor last (rules §3)."""

    known_critical: frozenset[str] = frozenset()
    """Object identifiers of critical extensions that the caller understands, besides those known here."""

    enforce_dates: bool = True
    """Whether every certificate has to be valid at the moment given; off to explain old paths only."""

    enforce_path_length: bool = True
    """Whether no authority may stand above more others than it may; one deployed stack does not look."""

    timeless: PathTerms = field(init=False, repr=False, compare=False)
    """What matters of it whatever the time is, for remembering paths."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "timeless", (self.roles, self.known_critical, self.enforce_path_length))


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
    extension and, above the leaf, may issue certificates for a path so long; the ``policy`` says what
    besides, or what not. A self-issued leaf that is an anchor itself yields a path that has it twice.

    Raises `PathError` about the certificate that came closest.
    """
    offered = tuple(intermediates)
    trusted = tuple(anchors)
    search = _Search(at, policy)
    known = recall_path(leaf, offered, trusted, policy.timeless)
    if known is not None and search.all_valid(known):
        return known
    path = search.find(leaf, offered, trusted)
    if not search.depended_on_dates:
        remember_path(leaf, offered, trusted, policy.timeless, path)
    return path


class _Search:
    """One search for a path: its terms, and what failed so far."""

    __slots__ = ("_earliest", "_failures", "_latest", "_policy", "_roles")

    def __init__(self, at: datetime, policy: PathPolicy) -> None:
        self._earliest, self._latest = _bounds(at, policy)
        self._policy = policy
        self._roles = policy.roles
        self._failures: list[tuple[int, Certificate, PathProblem]] = []

    @property
    def depended_on_dates(self) -> bool:
        """Whether it might have gone another way at another time."""
        return any(problem in _DATE_PROBLEMS for _, _, problem in self._failures)

    def all_valid(self, path: _Path) -> bool:
        """Return whether the dates of all certificates are good."""
        for certificate in path:
            if certificate.not_before > self._latest or certificate.not_after < self._earliest:
                return False
        return True

    def find(self, leaf: Certificate, intermediates: _Path, trusted: _Path) -> _Path:
        """Return the shortest path; raise `PathError`."""
        offered = [certificate for certificate in dict.fromkeys(intermediates) if certificate != leaf]
        if len(offered) > MAX_INTERMEDIATES:
            raise PathError(leaf, PathProblem.TOO_MANY_CERTIFICATES)
        problem = self._problem(leaf, 0)
        if problem is not None:
            raise PathError(leaf, problem)
        paths: list[_Path] = [(leaf,)]
        for path in paths:  # which grows meanwhile: all paths of one length come before longer ones
            name = path[-1].issuer
            for anchor in trusted:
                if anchor.subject == name and self._continues(path, anchor, last=True):
                    return (*path, anchor)
            for candidate in tuple(offered):
                if candidate.subject == name and self._continues(path, candidate, last=False):
                    paths.append((*path, candidate))
                    offered.remove(candidate)  # the shortest way to it is known, so this ends
            self._failures.append((len(path), path[-1], PathProblem.NO_ISSUER))
        raise self._closest()

    def _closest(self) -> PathError:
        """Return the first failure among those that came farthest from the leaf."""
        _, certificate, problem = max(self._failures, key=lambda failure: failure[0])
        return PathError(certificate, problem)

    def _continues(self, path: _Path, issuer: Certificate, *, last: bool) -> bool:
        """Return whether ``issuer`` may stand above ``path``, as its end or not, and issued its last one."""
        problem = self._problem_of_issuer(issuer, path, last=last)
        if problem is not None:
            self._failures.append((len(path), issuer, problem))
            return False
        try:
            path[-1].verify_issued_by(issuer)
        except CertificateError:
            self._failures.append((len(path), path[-1], PathProblem.BAD_SIGNATURE))
            return False
        return True

    def _problem(self, certificate: Certificate, index: int) -> PathProblem | None:
        """Check what every certificate of a path must fulfil at its place, counted from the leaf."""
        if certificate.not_before > self._latest:
            return PathProblem.NOT_YET_VALID
        if certificate.not_after < self._earliest:
            return PathProblem.EXPIRED
        if certificate.critical_extensions - self._policy.known_critical:
            return PathProblem.UNKNOWN_CRITICAL_EXTENSION
        roles = self._roles
        if roles is not None and (index >= len(roles) or not roles[index].matches(certificate)):
            return PathProblem.WRONG_ROLE
        return None

    def _problem_of_issuer(self, issuer: Certificate, path: _Path, *, last: bool) -> PathProblem | None:
        if not issuer.is_ca:
            return PathProblem.NOT_AN_AUTHORITY
        limit = issuer.path_length if self._policy.enforce_path_length else None
        if limit is not None and len(path) - 1 > limit:
            # RFC 5280 §6.1.4 (l): self-issued authorities do not count
            between = sum(not certificate.is_self_issued for certificate in path[1:])
            if between > limit:
                return PathProblem.PATH_TOO_LONG
        problem = self._problem(issuer, len(path))
        if problem is None and self._roles is not None and last and len(path) + 1 != len(self._roles):
            return PathProblem.WRONG_ROLE
        return problem


def _bounds(at: datetime, policy: PathPolicy) -> tuple[datetime, datetime]:
    """Return when a certificate has to end at the earliest, and to begin at the latest."""
    if not policy.enforce_dates:
        return _START_OF_TIME, _END_OF_TIME
    tolerance = policy.tolerance
    try:
        return at - tolerance, at + tolerance
    except OverflowError:  # at an end of the calendar
        earliest = max(at - _START_OF_TIME - tolerance, timedelta(0))
        latest = max(_END_OF_TIME - at - tolerance, timedelta(0))
        return _START_OF_TIME + earliest, _END_OF_TIME - latest
