# SPDX-License-Identifier: MIT
"""The PoHTTP client from npm at our Internet gateway and at our Internet endpoint."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from interop_pohttp import ACCEPTED, SENDER, STATIONS, values_of_parcel
from interop_poweb import ANY_PORT, HOST

from awala.bindings.asgi import MAX_BODY_SIZE, HttpApp, Response
from awala.bindings.serving import serve
from awala.testing import Authority
from helpers.node_peer import PeerError

pytestmark = [
    pytest.mark.requires("node"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell(peer="js-pohttp"),
]

CONTENT = b"good morning"

FOR_GOOD = "PoHTTPClientBindingError"
"""The request was wrong; its users drop the parcel."""

INVALID = "PoHTTPInvalidParcelError"
"""The parcel is not acceptable; its users drop it."""

LATER = "PoHTTPError"
"""Its users try again."""


def each_station(showing):
    """Run a test at each kind of node, which makes it show the capability."""
    return pytest.mark.parametrize(
        "kind", [pytest.param(kind, marks=pytest.mark.cell(f"pohttp-{kind}-{showing}")) for kind in STATIONS]
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stations(tmp_path_factory, authority):
    """Both kinds of node, over TLS."""
    directory = tmp_path_factory.mktemp("stations")
    async with AsyncExitStack() as stack:
        yield {
            kind: await stack.enter_async_context(run(directory / kind, authority, None))
            for kind, run in STATIONS.items()
        }


@pytest.fixture
def station(stations, kind):
    return stations[kind]


async def make(peer, station, **changes):
    """Let the peer make a parcel that is good at the station but for ``changes``."""
    return (await peer.ask("make", **values_of_parcel(station, CONTENT) | changes))["octets"]


async def deliver(peer, url, parcel, **options):
    return await peer.ask("deliverByPoHttp", url=url, parcel=parcel, **options)


# ---- what arrives ------------------------------------------------------------------------------------


@each_station(showing="delivery")
async def test_delivers_over_tls(production_peer, station):
    parcel = await make(production_peer, station)

    assert await deliver(production_peer, station.url, parcel) == ACCEPTED
    assert await deliver(production_peer, station.url, parcel) == ACCEPTED, "again is no error"

    assert await station.arrived(1) == [CONTENT]


@each_station(showing="delivery")
async def test_delivers_the_largest_content(production_peer, station):
    content = bytes(2**23 - 2**18)
    parcel = await make(production_peer, station, payload={"type": "text/plain", "content": content})

    assert await deliver(production_peer, station.url, parcel) == ACCEPTED

    assert [len(each) for each in await station.arrived(1)] == [len(content)]


@each_station(showing="delivery")
async def test_gives_nothing_to_a_host_that_its_authorities_do_not_know(production_peer, kind, tmp_path):
    async with STATIONS[kind](tmp_path / kind, Authority.create(), None) as station:
        parcel = await make(production_peer, station)

        with pytest.raises(PeerError, match="certificate") as caught:
            await deliver(production_peer, station.url, parcel)

        assert caught.value.error_class == LATER
        assert await station.arrived(0) == []


@each_station(showing="plain")
async def test_delivers_without_tls_where_it_may(production_peer, kind, tmp_path):
    async with STATIONS[kind](tmp_path / kind, None, None) as station:
        parcel = await make(production_peer, station)

        assert await deliver(production_peer, station.url, parcel, useTls=False) == ACCEPTED

        assert await station.arrived(1) == [CONTENT]


# ---- what does not -----------------------------------------------------------------------------------


async def malformed(_peer, _station):
    return b"AwalaP\x00 and no more"


async def of_another_type(_peer, _station):
    return b"AwalaC\x00" + bytes(100)


async def too_large(_peer, _station):
    return bytes(MAX_BODY_SIZE + 1)


async def for_somebody_else(peer, station):
    return await make(peer, station, recipient=station.recipient | {"id": SENDER.node_id})


async def expired(peer, station):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    return await make(peer, station, creationDate=yesterday.isoformat(), ttl=3600)


async def dated_ahead(peer, station):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return await make(peer, station, creationDate=tomorrow.isoformat())


@each_station(showing="refusals")
@pytest.mark.parametrize(
    ("make_bad", "error_class", "message"),
    [
        (malformed, FOR_GOOD, "HTTP 400"),
        (of_another_type, FOR_GOOD, "HTTP 400"),
        (too_large, FOR_GOOD, "HTTP 413"),
        (for_somebody_else, INVALID, "rejected parcel: "),
        (expired, INVALID, "rejected parcel: "),
        (dated_ahead, INVALID, "rejected parcel: "),
    ],
)
async def test_drops_what_is_refused_for_good(production_peer, station, make_bad, error_class, message):
    parcel = await make_bad(production_peer, station)

    with pytest.raises(PeerError, match=message) as caught:
        await deliver(production_peer, station.url, parcel)

    assert caught.value.error_class == error_class
    assert await station.arrived(0) == []


@pytest.mark.cell("pohttp-gateway-refusals")
@pytest.mark.parametrize("kind", ["gateway"])
async def test_drops_what_the_recipient_did_not_authorise(production_peer, station, stations):
    stranger = stations["endpoint"].certificate
    parcel = await make(production_peer, station, certificate=stranger.encoding, chain=[])

    with pytest.raises(PeerError, match="rejected parcel: ") as caught:
        await deliver(production_peer, station.url, parcel)

    assert caught.value.error_class == INVALID
    assert await station.arrived(0) == []


@each_station(showing="later")
async def test_comes_back_when_there_is_no_room(production_peer, authority, kind, tmp_path):
    async with STATIONS[kind](tmp_path / kind, authority, 1) as station:
        parcel = await make(production_peer, station)

        with pytest.raises(PeerError, match="HTTP 507") as caught:
            await deliver(production_peer, station.url, parcel)

        assert caught.value.error_class == LATER
        assert await station.arrived(0) == []


# ---- redirects ---------------------------------------------------------------------------------------


@asynccontextmanager
async def redirecting(authority, target, status, times):
    """Serve a chain of redirects that leads to ``target``; give its URL."""

    def step(number):
        async def answer(request):
            await request.body()
            location = target if number == times else f"https://{server.address}/{number + 1}"
            return Response(status, b"", headers={"Location": location})

        return answer

    routes = {f"/{number}": {"POST": step(number)} for number in range(1, times + 1)}
    async with serve(HttpApp(routes), ANY_PORT, tls=authority.server_context(HOST)) as server:
        yield f"https://{server.address}/1"


@each_station(showing="redirects")
@pytest.mark.parametrize(("status", "times"), [(307, 1), (308, 3)])
async def test_arrives_by_redirects(production_peer, authority, station, status, times):
    parcel = await make(production_peer, station)

    async with redirecting(authority, station.url, status, times) as url:
        assert await deliver(production_peer, url, parcel) == ACCEPTED

    assert await station.arrived(1) == [CONTENT]


@each_station(showing="redirects")
async def test_follows_no_fourth_redirect(production_peer, authority, station):
    parcel = await make(production_peer, station)

    async with redirecting(authority, station.url, 307, 4) as url:
        with pytest.raises(PeerError, match="maximum number of redirects") as caught:
            await deliver(production_peer, url, parcel)

    assert caught.value.error_class == LATER
    assert await station.arrived(0) == []
