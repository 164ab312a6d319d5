# SPDX-License-Identifier: MIT

from __future__ import annotations

import pytest

from awala.bindings.poweb import PoWebClient
from awala.messages import DetachedSignature, DetachedSignatureType, Parcel
from awala.testing.bench import Plan
from awala.testing.bench import gateway as bench
from awala.testing.bench.app_parcels import Apps, Endpoint
from awala.testing.bench.gateway_process import GatewayError, GatewayProcess, prepare

FEW, MANY, OCTETS = 10, 20, 4_000
ROWS = [("accept", 1), ("accept", 3), ("collect", 1), ("collect", 5)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def report(directory):
    said = []
    plan = Plan(0.01, items=MANY, directory=directory, say=said.append)
    return bench.measure(plan, connections=(1, 3), octets=OCTETS, few=FEW, rounds=1)


def test_a_gateway_is_measured_with_few_messages_and_with_many(report, directory):
    rows = {tuple(figure.labels.values()) for figure in report.figures}

    assert rows == {
        *((operation, at_once, stored) for stored in (FEW, MANY) for operation, at_once in ROWS),
        *(("start", 0, stored) for stored in (FEW, MANY)),
        ("bare work", 1, FEW),
        ("bare work", 3, FEW),
    }
    assert list(directory.iterdir()) == [], "something was left behind"


def test_only_accepts_stand_beside_bare_work_and_only_many_messages_have_a_cost(report):
    for figure in report.figures:
        plain = figure.plain()
        assert plain["per_second"] > 0
        assert plain["microseconds"] > 0
        assert 0 < plain["p50_ms"] <= plain["p99_ms"]
        assert ("ratio" in plain) == (figure.labels["operation"] == "accept")
        assert plain.get("ratio", 1) > 0
        assert ("cost" in plain) == (figure.labels["stored"] == MANY)
        assert plain.get("cost", 1) > 0


def test_the_memory_of_each_gateway_is_among_the_conditions(report):
    for stored in (FEW, MANY):
        assert report.conditions[f"peak_memory_mib_with_{stored}"] > 10


async def test_parcels_have_the_size_that_was_asked_for_and_their_countersignatures_hold(tmp_path):
    gateway = GatewayProcess(tmp_path / "gateway", 0)
    await prepare(gateway.directory)
    await gateway.start()
    try:
        async with PoWebClient.local(f"http://127.0.0.1:{gateway.port}") as client:
            apps = Apps(await Endpoint.register(client), await Endpoint.register(client), OCTETS)
    finally:
        await gateway.stop()

    made = [next(apps.make(1, near=near)) for near in (False, True)]

    assert [abs(len(given.parcel) - OCTETS) < 20 for given in made] == [True, True]
    for given in made:
        signature = DetachedSignature.parse(given.countersignature)
        signature.verify(DetachedSignatureType.PARCEL_DELIVERY, given.parcel)
        assert Parcel.parse(given.parcel).sender_id == apps.sender.key.node_id


async def test_a_gateway_that_does_not_start_says_why(tmp_path):
    gateway = GatewayProcess(tmp_path / "gateway", 0)
    gateway.directory.mkdir()

    with pytest.raises(GatewayError, match="init"):
        await gateway.start()
    await gateway.stop()


async def test_the_memory_of_a_gateway_is_not_that_of_who_started_it(tmp_path):
    large = bytearray(b"x") * 200_000_000
    gateway = GatewayProcess(tmp_path / "gateway", 0)
    await prepare(gateway.directory)
    await gateway.start()
    try:
        await gateway.processor_seconds()
        assert gateway.peak_octets < len(large)
    finally:
        await gateway.stop()
