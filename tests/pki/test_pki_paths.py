# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from awala.asn1 import der
from awala.crypto import IdentityPrivateKey
from awala.pki import (
    CLOCK_TOLERANCE,
    Certificate,
    PathError,
    PathPolicy,
    PathProblem,
    Role,
    build_path,
    clear_caches,
)
from helpers.cast import certificate, chain, identity_key
from helpers.forgery import CA, constraints, extension, forge, name
from helpers.vectors import AT, STACKS

DAY = timedelta(days=1)
KEYS = {who: identity_key("js", who) for who in ("igw", "pgw", "ep", "peer")}
ROLES = (Role.DELIVERY_AUTHORIZATION, Role.ENDPOINT, Role.GATEWAY, Role.SELF_ISSUED_GATEWAY)


def ca(path_length: int | None = None) -> tuple[bytes, ...]:
    return (constraints(der.boolean(True), *(() if path_length is None else (der.integer(path_length),))),)


def make(who: str, by: str | None = None, **changes) -> Certificate:
    """Issue a certificate to one of the cast, by another one or itself."""
    issuer = KEYS[by or who]
    issuer_name = {"issuer": name(issuer.node_id)}
    return Certificate.parse(forge(key=issuer, subject_key=KEYS[who].public_key, **(issuer_name | changes)))


ROOT = make("igw")
GATEWAY = make("pgw", "igw")
ENDPOINT = make("ep", "pgw")
LEAF = make("peer", "ep", extensions=())


def problem(*arguments, at=AT, **options) -> tuple[PathProblem, Certificate | None]:
    with pytest.raises(PathError) as caught:
        build_path(*arguments, at=at, **options)
    assert caught.value.reason.value in str(caught.value)
    return caught.value.reason, caught.value.certificate


@pytest.mark.parametrize("stack", STACKS)
def test_finds_the_path_of_both_stacks(stack):
    pda, endpoint, private, gateway = chain(stack)
    for intermediates in (
        (endpoint, private),
        (private, endpoint),
        (gateway, private, pda, endpoint, private),
    ):
        path = build_path(pda, intermediates, [gateway], at=AT)
        assert path == (pda, endpoint, private, gateway)
    assert build_path(pda, (), [endpoint], at=AT) == (pda, endpoint)
    assert build_path(pda, [endpoint], [private, gateway], at=AT) == (pda, endpoint, private)


def test_any_authority_may_be_the_anchor():
    certificates = (LEAF, ENDPOINT, GATEWAY, ROOT)
    for length in (2, 3, 4):
        path = build_path(LEAF, certificates[1:], [certificates[length - 1]], at=AT)
        assert path == certificates[:length]


def test_the_cargo_delivery_authorization_of_a_deployed_gateway_is_accepted():
    cda, issuer = certificate("js", "cda"), certificate("js", "selfPgw")
    assert (cda.is_ca, cda.path_length) == (True, 1)
    assert build_path(cda, (), [issuer], at=AT) == (cda, issuer)


def test_a_leaf_without_anchors_is_refused():
    assert problem(LEAF, [ENDPOINT, GATEWAY, ROOT], []) == (PathProblem.NO_ISSUER, ROOT)
    assert problem(LEAF, [], [ROOT]) == (PathProblem.NO_ISSUER, LEAF)
    assert problem(LEAF, [ENDPOINT], [ROOT]) == (PathProblem.NO_ISSUER, ENDPOINT)


def test_a_leaf_is_not_its_own_anchor_unless_self_issued():
    assert problem(LEAF, (), [LEAF]) == (PathProblem.NO_ISSUER, LEAF)
    assert build_path(ROOT, (), [ROOT], at=AT) == (ROOT, ROOT)


def test_a_self_issued_leaf_that_is_no_anchor_is_refused():
    assert problem(ROOT, [ROOT], [GATEWAY]) == (PathProblem.NO_ISSUER, ROOT)


def test_a_chain_with_the_old_certificate_of_an_authority_leads_to_its_renewed_one():
    old = make("igw", not_before=AT - 5 * DAY, not_after=AT - DAY)
    renewed = make("igw", serial=b"\x02")
    path = build_path(LEAF, [ENDPOINT, GATEWAY, old], [renewed], at=AT)
    assert path == (LEAF, ENDPOINT, GATEWAY, renewed)


def test_all_anchors_are_tried_whatever_their_order():
    expired = make("igw", not_after=AT - DAY)
    for anchors in ([expired, ROOT], [ROOT, expired], [make("peer"), ROOT]):
        assert build_path(LEAF, [ENDPOINT, GATEWAY], anchors, at=AT)[-1] == ROOT


def test_an_old_intermediate_beside_a_renewed_one_does_no_harm():
    old = make("pgw", "igw", not_after=AT - DAY)
    for intermediates in ([ENDPOINT, old, GATEWAY], [GATEWAY, old, ENDPOINT]):
        assert build_path(LEAF, intermediates, [ROOT], at=AT) == (LEAF, ENDPOINT, GATEWAY, ROOT)


def test_names_are_compared_as_octets():
    utf8 = make("igw", subject=name(der.utf8_string(KEYS["igw"].node_id)))
    assert problem(GATEWAY, (), [utf8]) == (PathProblem.NO_ISSUER, GATEWAY)


def test_an_anchor_of_the_right_name_with_another_key_is_refused():
    impostor = make("peer", subject=name(KEYS["igw"].node_id))
    assert problem(GATEWAY, (), [impostor]) == (PathProblem.BAD_SIGNATURE, GATEWAY)


def test_a_key_that_cannot_be_used_is_a_bad_signature():
    broken = make("igw", spki=der.sequence())
    assert problem(GATEWAY, (), [broken]) == (PathProblem.BAD_SIGNATURE, GATEWAY)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    ("dates", "reason"),
    [
        ({"not_after": AT - DAY}, PathProblem.EXPIRED),
        ({"not_before": AT + DAY, "not_after": AT + 2 * DAY}, PathProblem.NOT_YET_VALID),
        (
            {"extensions": (CA, extension("1.2.3", b"", critical=True))},
            PathProblem.UNKNOWN_CRITICAL_EXTENSION,
        ),
    ],
)
def test_every_certificate_of_the_path_is_checked(place, dates, reason):
    issuers = ("ep", "pgw", "igw", "igw")
    path = [LEAF, ENDPOINT, GATEWAY, ROOT]
    path[place] = make(("peer", "ep", "pgw", "igw")[place], issuers[place], **dates)
    assert problem(path[0], path[1:3], path[3:]) == (reason, path[place])


@pytest.mark.parametrize(
    "at",
    [
        AT - DAY - CLOCK_TOLERANCE,
        AT - DAY - CLOCK_TOLERANCE - timedelta(seconds=1),
        AT + DAY + CLOCK_TOLERANCE,
        AT + DAY + CLOCK_TOLERANCE + timedelta(seconds=1),
    ],
)
def test_rules_2_dates_have_a_tolerance_of_two_hours(at):
    if ROOT.valid_at(at):
        assert build_path(LEAF, [ENDPOINT, GATEWAY], [ROOT], at=at)
    else:
        assert problem(LEAF, [ENDPOINT, GATEWAY], [ROOT], at=at)[1] == LEAF


def test_the_policy_sets_the_tolerance():
    strict = PathPolicy(tolerance=timedelta(0))
    at = AT + DAY + timedelta(seconds=1)
    assert build_path(LEAF, (), [ENDPOINT], at=at)
    assert problem(LEAF, (), [ENDPOINT], at=at, policy=strict) == (PathProblem.EXPIRED, LEAF)


def test_paths_are_judged_at_the_ends_of_the_calendar():
    start, end = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert problem(LEAF, (), [ENDPOINT], at=start) == (PathProblem.NOT_YET_VALID, LEAF)
    assert problem(LEAF, (), [ENDPOINT], at=end) == (PathProblem.EXPIRED, LEAF)


def test_a_path_to_the_end_of_the_calendar_is_good_at_the_end_of_the_calendar():
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    endless = make("pgw", "igw", not_after=end), make("igw", not_after=end)
    assert build_path(endless[0], (), endless[1:], at=end) == endless


def test_a_policy_may_leave_dates_aside():
    policy = PathPolicy(enforce_dates=False)
    for at in (AT - 1000 * DAY, AT, AT + 1000 * DAY):
        assert build_path(LEAF, [ENDPOINT, GATEWAY], [ROOT], at=at, policy=policy)[-1] == ROOT
    assert problem(LEAF, [ENDPOINT, GATEWAY], [ROOT], at=AT + 1000 * DAY) == (PathProblem.EXPIRED, LEAF)


def test_a_policy_may_leave_path_lengths_aside():
    policy = PathPolicy(enforce_path_length=False)
    root = make("igw", extensions=ca(0))
    assert build_path(LEAF, [ENDPOINT, GATEWAY], [root], at=AT, policy=policy)[-1] == root
    assert problem(LEAF, [ENDPOINT, GATEWAY], [root]) == (PathProblem.PATH_TOO_LONG, root)


def test_a_policy_may_know_further_critical_extensions():
    odd = make("ep", "pgw", extensions=(CA, extension("1.2.3", b"", critical=True)))
    policy = PathPolicy(known_critical=frozenset({"1.2.3", "1.2.4"}))
    assert build_path(LEAF, [odd, GATEWAY], [ROOT], at=AT, policy=policy)[1] == odd
    assert problem(LEAF, [odd, GATEWAY], [ROOT]) == (PathProblem.UNKNOWN_CRITICAL_EXTENSION, odd)
    other = PathPolicy(known_critical=frozenset({"1.2.4"}))
    assert problem(LEAF, [odd, GATEWAY], [ROOT], policy=other)[1] == odd


def test_dates_are_checked_again_although_the_signatures_are_remembered():
    assert build_path(LEAF, [ENDPOINT, GATEWAY], [ROOT], at=AT)
    assert problem(LEAF, [ENDPOINT, GATEWAY], [ROOT], at=AT + 2 * DAY) == (PathProblem.EXPIRED, LEAF)


def test_signatures_are_verified_once():
    clear_caches()
    calls = []
    original = type(ROOT.public_key).verify

    def counting(key, *arguments):
        calls.append(key)
        original(key, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(ROOT.public_key), "verify", counting)
        for _ in range(3):
            build_path(LEAF, [ENDPOINT, GATEWAY], [ROOT], at=AT)
    assert len(calls) == 3


@pytest.mark.parametrize("extensions", [(), (constraints(),), (constraints(der.integer(0)),), None])
def test_an_issuer_has_to_be_an_authority(extensions):
    endpoint = make("ep", "pgw", extensions=extensions)
    assert problem(LEAF, [endpoint, GATEWAY], [ROOT]) == (PathProblem.NOT_AN_AUTHORITY, endpoint)
    assert problem(LEAF, (), [endpoint]) == (PathProblem.NOT_AN_AUTHORITY, endpoint)


@pytest.mark.parametrize(
    ("endpoint", "gateway", "root", "failing"),
    [
        (0, 1, 2, None),
        (None, None, None, None),
        (0, 5, 5, None),
        (0, 0, 2, "pgw"),
        (0, 1, 1, "igw"),
        (0, 1, 0, "igw"),
    ],
)
def test_path_lengths_are_enforced_on_the_anchor_too(endpoint, gateway, root, failing):
    certificates = {
        "ep": make("ep", "pgw", extensions=ca(endpoint)),
        "pgw": make("pgw", "igw", extensions=ca(gateway)),
        "igw": make("igw", extensions=ca(root)),
    }
    intermediates, anchors = [certificates["ep"], certificates["pgw"]], [certificates["igw"]]
    if failing is None:
        assert len(build_path(LEAF, intermediates, anchors, at=AT)) == 4
    else:
        assert problem(LEAF, intermediates, anchors) == (PathProblem.PATH_TOO_LONG, certificates[failing])


def test_self_issued_authorities_do_not_count_towards_the_length():
    again = make("igw", serial=b"\x09")
    root = make("igw", extensions=ca(1))
    assert build_path(GATEWAY, [again], [root], at=AT) == (GATEWAY, root)
    endpoint_path = build_path(ENDPOINT, [GATEWAY, again], [root], at=AT)
    assert endpoint_path == (ENDPOINT, GATEWAY, root)


def test_an_authoritys_certificate_for_a_new_key_of_its_own_does_not_count_either():
    new_key, own_name = KEYS["peer"], name(KEYS["igw"].node_id)
    again = make("peer", "igw", subject=own_name)
    gateway = Certificate.parse(forge(key=new_key, subject_key=KEYS["pgw"].public_key, issuer=own_name))
    root = make("igw", extensions=ca(2))
    path = build_path(LEAF, [ENDPOINT, gateway, again], [root], at=AT)
    assert path == (LEAF, ENDPOINT, gateway, again, root)
    too_short = make("igw", extensions=ca(1))
    refused = problem(LEAF, [ENDPOINT, gateway, again], [too_short])
    assert refused == (PathProblem.PATH_TOO_LONG, too_short)


def test_rules_3_roles_are_exact():
    policy = PathPolicy(roles=ROLES)
    for stack in STACKS:
        pda, endpoint, private, gateway = chain(stack)
        assert build_path(pda, [endpoint, private], [gateway], at=AT, policy=policy)
        shorter = PathPolicy(roles=ROLES[:3])
        assert build_path(pda, [endpoint, private], [private], at=AT, policy=shorter)
        assert problem(pda, [endpoint], [private], policy=policy) == (
            PathProblem.WRONG_ROLE,
            private,
        )
        assert problem(pda, [endpoint, private], [gateway], policy=shorter)[0] is PathProblem.WRONG_ROLE
        assert problem(endpoint, [private], [gateway], policy=policy) == (PathProblem.WRONG_ROLE, endpoint)
        assert problem(pda, [private], [endpoint], policy=PathPolicy(roles=ROLES[:1])) == (
            PathProblem.WRONG_ROLE,
            endpoint,
        )


def test_rules_3_the_deployed_form_of_a_cda_is_no_delivery_authorization():
    policy = PathPolicy(roles=(Role.DELIVERY_AUTHORIZATION, Role.SELF_ISSUED_GATEWAY))
    cda, issuer = certificate("js", "cda"), certificate("js", "selfPgw")
    assert problem(cda, (), [issuer], policy=policy) == (PathProblem.WRONG_ROLE, cda)
    assert build_path(
        cda, (), [issuer], at=AT, policy=PathPolicy(roles=(Role.GATEWAY, Role.SELF_ISSUED_GATEWAY))
    )


def test_certificates_in_a_circle_end_the_search():
    one = make("ep", "pgw")
    other = make("pgw", "ep")
    assert problem(LEAF, [one, other], [ROOT])[0] is PathProblem.NO_ISSUER


def test_rules_1_more_than_16_certificates_are_refused():
    many = [make("igw", serial=bytes((number,))) for number in range(1, 18)]
    assert problem(LEAF, many, [ROOT]) == (PathProblem.TOO_MANY_CERTIFICATES, LEAF)
    assert build_path(LEAF, [ENDPOINT, *many[:15]], [GATEWAY], at=AT)
    assert build_path(LEAF, [ENDPOINT] * 40, [GATEWAY], at=AT)


def test_the_farthest_failure_is_told():
    expired = make("pgw", "igw", not_after=AT - DAY)
    stray = make("ep", "igw", extensions=())
    assert problem(LEAF, [stray, ENDPOINT, expired], [ROOT]) == (PathProblem.EXPIRED, expired)


def test_the_message_tells_the_serial_and_no_id():
    expired = make("pgw", "igw", not_after=AT - DAY, serial=b"\x0a\x0b")
    with pytest.raises(PathError, match="the certificate with serial 0a0b has expired") as caught:
        build_path(expired, (), [ROOT], at=AT)
    assert KEYS["pgw"].node_id not in str(caught.value)
    assert str(PathError(None, PathProblem.NO_ISSUER)).startswith("a certificate has no issuer")


def test_one_forged_key_does_not_pass_for_another():
    fresh = IdentityPrivateKey.generate()
    forged_leaf = Certificate.parse(
        forge(key=fresh, subject_key=KEYS["peer"].public_key, issuer=ENDPOINT.subject, extensions=())
    )
    assert problem(forged_leaf, [ENDPOINT, GATEWAY], [ROOT]) == (PathProblem.BAD_SIGNATURE, forged_leaf)
