# SPDX-License-Identifier: MIT
"""What the deployed stacks do with odd chains (our records, wire §4.5), and what we do, case by case.

Where the two differ, we take what either takes, except where that would let an authority do what its
issuer did not allow or an expired anchor count.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from awala.asn1 import der
from awala.pki import Certificate, CertificateError, PathError, PathProblem, build_path
from awala.pki.rate_limit import RATE_LIMIT
from helpers.cast import identity_key
from helpers.forgery import CA, constraints, extension, forge, name
from helpers.vectors import AT

DAY = timedelta(days=1)
KEYS = {who: identity_key("js", who) for who in ("igw", "pgw", "ep", "peer")}


def make(who: str, by: str | None = None, **changes) -> Certificate:
    issuer = KEYS[by or who]
    issuer_name = {"issuer": name(issuer.node_id)}
    return Certificate.parse(forge(key=issuer, subject_key=KEYS[who].public_key, **(issuer_name | changes)))


def limited(path_length: int) -> dict[str, object]:
    return {"extensions": (constraints(der.boolean(True), der.integer(path_length)),)}


ROOT = make("igw")
GATEWAY = make("pgw", "igw")
ENDPOINT = make("ep", "pgw")
LEAF = make("peer", "ep", extensions=(constraints(der.integer(0)),))
CHAIN = [ENDPOINT, GATEWAY]
PAST = {"not_before": AT - 9 * DAY, "not_after": AT - DAY}
FUTURE = {"not_before": AT + DAY, "not_after": AT + 9 * DAY}
UTF8 = name(der.utf8_string(KEYS["ep"].node_id))
RATE = extension(RATE_LIMIT, der.sequence(der.integer(1), der.integer(60)))
UNKNOWN = extension("1.2.3", b"")
CRITICAL = extension("1.2.3", b"", critical=True)

TAKEN = {
    "the chain in any order": (LEAF, [GATEWAY, ENDPOINT], [ROOT]),
    "the root embedded as well": (LEAF, [*CHAIN, ROOT], [ROOT]),
    "any authority on the path as the anchor": (LEAF, CHAIN, [GATEWAY]),
    "the recipient's own certificate as the anchor": (LEAF, CHAIN, [ENDPOINT]),
    "a leaf without basic constraints": (make("peer", "ep", extensions=()), CHAIN, [ROOT]),
    "a delivery authorisation that is an authority": (make("peer", "ep"), CHAIN, [ROOT]),
    "a leaf that outlives its issuer": (make("peer", "ep", not_after=AT + 900 * DAY), CHAIN, [ROOT]),
    "a leaf that begins before its issuer": (make("peer", "ep", not_before=AT - 900 * DAY), CHAIN, [ROOT]),
    "a leaf for more than 180 days": (
        make("peer", "ep", not_before=AT - 200 * DAY, not_after=AT + 200 * DAY),
        CHAIN,
        [ROOT],
    ),
    "a common name that is no node id": (make("peer", "ep", subject=name("somebody")), CHAIN, [ROOT]),
    "a common name as UTF8String": (
        make("peer", "ep", subject=name(der.utf8_string(KEYS["peer"].node_id))),
        CHAIN,
        [ROOT],
    ),
    "no authority key identifier": (LEAF, CHAIN, [ROOT]),
    "an unknown extension that is not critical": (make("peer", "ep", extensions=(UNKNOWN,)), CHAIN, [ROOT]),
    "the rate limit": (make("peer", "ep", extensions=(RATE,)), CHAIN, [ROOT]),
    "a negative serial": (make("peer", "ep", serial=b"\xff\x01"), CHAIN, [ROOT]),
    "a serial of zero": (make("peer", "ep", serial=b"\0"), CHAIN, [ROOT]),
    "a serial of 20 octets": (make("peer", "ep", serial=b"\x7f" * 20), CHAIN, [ROOT]),
    "a serial that is not minimal, on the leaf": (make("peer", "ep", serial=b"\0\x05"), CHAIN, [ROOT]),
    "a serial that is not minimal, above it": (
        LEAF,
        [make("ep", "pgw", serial=b"\0\0\x05"), GATEWAY],
        [ROOT],
    ),
    "old and new certificates of an anchor": (LEAF, CHAIN, [make("igw", **PAST), ROOT]),
    "only the renewed anchor, with the old one embedded": (
        LEAF,
        [*CHAIN, make("igw", serial=b"\x02")],
        [make("igw", serial=b"\x03", not_after=AT + 90 * DAY)],
    ),
}

REFUSED = {
    "the leaf itself as the anchor": (LEAF, CHAIN, [LEAF], PathProblem.NO_ISSUER),
    "no anchors": (LEAF, [*CHAIN, ROOT], [], PathProblem.NO_ISSUER),
    "an intermediate that has expired": (
        LEAF,
        [ENDPOINT, make("pgw", "igw", **PAST)],
        [ROOT],
        PathProblem.EXPIRED,
    ),
    "an intermediate that is not valid yet": (
        LEAF,
        [ENDPOINT, make("pgw", "igw", **FUTURE)],
        [ROOT],
        PathProblem.NOT_YET_VALID,
    ),
    "an anchor that has expired": (LEAF, CHAIN, [make("igw", **PAST)], PathProblem.EXPIRED),
    "an issuer without basic constraints": (
        LEAF,
        [make("ep", "pgw", extensions=()), GATEWAY],
        [ROOT],
        PathProblem.NOT_AN_AUTHORITY,
    ),
    "an issuer that is no authority": (
        LEAF,
        [make("ep", "pgw", extensions=(constraints(der.integer(0)),)), GATEWAY],
        [ROOT],
        PathProblem.NOT_AN_AUTHORITY,
    ),
    "an intermediate above too many": (
        LEAF,
        [ENDPOINT, make("pgw", "igw", **limited(0))],
        [ROOT],
        PathProblem.PATH_TOO_LONG,
    ),
    "an anchor above too many": (LEAF, CHAIN, [make("igw", **limited(1))], PathProblem.PATH_TOO_LONG),
    "an issuer's name in another string type than the subject's": (
        make("peer", "ep", issuer=UTF8),
        CHAIN,
        [ROOT],
        PathProblem.NO_ISSUER,
    ),
    "an unknown critical extension": (
        make("peer", "ep", extensions=(CRITICAL,)),
        CHAIN,
        [ROOT],
        PathProblem.UNKNOWN_CRITICAL_EXTENSION,
    ),
    "an unknown critical extension of an authority": (
        LEAF,
        [make("ep", "pgw", extensions=(CA, CRITICAL)), GATEWAY],
        [ROOT],
        PathProblem.UNKNOWN_CRITICAL_EXTENSION,
    ),
}


@pytest.mark.parametrize("case", TAKEN)
def test_takes(case):
    leaf, intermediates, anchors = TAKEN[case]
    path = build_path(leaf, intermediates, anchors, at=AT)
    assert path[0] == leaf
    assert path[-1] in anchors


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case):
    leaf, intermediates, anchors, problem = REFUSED[case]
    with pytest.raises(PathError) as caught:
        build_path(leaf, intermediates, anchors, at=AT)
    assert caught.value.reason is problem
    assert caught.value.certificate in {leaf, *intermediates, *anchors}


def test_refuses_a_leaf_of_version_1():
    with pytest.raises(CertificateError):
        make("peer", "ep", version=b"", extensions=None)
