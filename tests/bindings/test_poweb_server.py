# SPDX-License-Identifier: MIT
"""The PoWeb server's answers over HTTP (RS-016; rules §8)."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager

import httpx2
import pytest

from awala.bindings.asgi import LargeBodies
from awala.bindings.errors import (
    Forbidden,
    Full,
    MalformedRequest,
    TemporarilyUnavailable,
    Unauthenticated,
    Unprocessable,
)
from awala.bindings.hosts import Hosts
from awala.bindings.poweb import poweb_app, serve_poweb
from awala.messages.limits import MAX_PARCEL_SIZE
from helpers.poweb import GOOD_COUNTERSIGNATURE, MemoryGateway

DIGEST = "0123456789abcdef" * 4
PARCEL = "application/vnd.awala.parcel"
REQUEST = "application/vnd.awala.node-registration.request"
WITHDRAWAL = "application/vnd.awala.parcel-deauthorization"
CREDENTIAL = base64.b64encode(GOOD_COUNTERSIGNATURE).decode()
AUTHORIZATION = f"Relaynet-Countersignature {CREDENTIAL}"


@pytest.fixture
def gateway():
    return MemoryGateway()


@asynccontextmanager
async def serving(gateway, **options):
    async with (
        serve_poweb(poweb_app(gateway, **options), "127.0.0.1:0", grace=1) as server,
        httpx2.AsyncClient(base_url=f"http://{server.address}", trust_env=False) as http,
    ):
        yield http


@pytest.fixture
async def http(gateway):
    async with serving(gateway, withdrawals=gateway) as client:
        yield client


def post_parcel(http, content=b"parcel", *, authorization=AUTHORIZATION, content_type=PARCEL, **headers):
    headers["Content-Type"] = content_type
    if authorization is not None:
        headers["Authorization"] = authorization
    return http.post("/v1/parcels", content=content, headers=headers)


@pytest.mark.rule("1.11")
@pytest.mark.parametrize("path", ["/v1/pre-registrations", "/v1/pre-registration"])
async def test_preregisters_on_the_deployed_path_and_on_that_of_the_spec(http, gateway, path):
    response = await http.post(path, content=DIGEST, headers={"Content-Type": "text/plain"})

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/vnd.awala.node-registration.authorization"
    assert response.content == b"authorization of \x01\x23"
    assert gateway.calls == [("preregister", bytes.fromhex(DIGEST))]


@pytest.mark.parametrize(
    "digest", ["", DIGEST[1:], DIGEST + "0", "g" + DIGEST[1:], DIGEST + "\n", " " + DIGEST[1:], "é" * 32]
)
async def test_refuses_to_preregister_what_is_no_digest(http, gateway, digest):
    response = await http.post(
        "/v1/pre-registrations", content=digest.encode(), headers={"Content-Type": "text/plain"}
    )

    assert response.status_code == 400
    assert response.json()["message"]
    assert gateway.calls == []


@pytest.mark.parametrize("content_type", ["text/plain; charset=utf-8", "application/json"])
async def test_compares_content_types_as_a_whole(http, content_type):
    response = await http.post(
        "/v1/pre-registrations", content=DIGEST, headers={"Content-Type": content_type}
    )

    assert response.status_code == 415


async def test_stops_reading_a_digest_that_does_not_end(http):
    response = await http.post(
        "/v1/pre-registrations", content="0" * 2000, headers={"Content-Type": "text/plain"}
    )

    assert response.status_code == 413


async def test_registers(http, gateway):
    response = await http.post("/v1/nodes", content=b"request", headers={"Content-Type": REQUEST})

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/vnd.awala.node-registration.registration"
    assert response.content == b"registration"
    assert gateway.calls == [("register", b"request")]


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (MalformedRequest("bad"), 400),
        (Forbidden("of another key"), 403),
        (TemporarilyUnavailable("not yet"), 503),
        (ValueError("a fault"), 500),
    ],
)
async def test_answers_a_registration_with_what_the_gateway_says(http, gateway, problem, status):
    gateway.problems["register"] = problem

    response = await http.post("/v1/nodes", content=b"request", headers={"Content-Type": REQUEST})

    assert response.status_code == status
    assert "a fault" not in response.text


async def test_bounds_registration_requests_at_one_mebibyte(http, gateway):
    fits = await http.post("/v1/nodes", content=bytes(1 << 20), headers={"Content-Type": REQUEST})
    longer = await http.post("/v1/nodes", content=bytes((1 << 20) + 1), headers={"Content-Type": REQUEST})

    assert (fits.status_code, longer.status_code) == (200, 413)
    assert gateway.count("register") == 1


async def test_refuses_registration_requests_of_another_type(http):
    response = await http.post("/v1/nodes", content=b"request", headers={"Content-Type": "text/plain"})

    assert response.status_code == 415


@pytest.mark.rule("1.11")
@pytest.mark.parametrize(
    "scheme", ["Relaynet-Countersignature", "Awala-Countersignature", "relaynet-countersignature"]
)
async def test_takes_a_parcel_with_either_spelling_of_the_scheme(http, gateway, scheme):
    response = await post_parcel(http, authorization=f"{scheme} {CREDENTIAL}")

    assert response.status_code == 202
    assert response.json() == {}
    assert gateway.calls == [("recognise", GOOD_COUNTERSIGNATURE), ("deliver", b"parcel")]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Relaynet-Countersignature",
        "Relaynet-Countersignature =",
        "Relaynet-Countersignature not base64!",
        f"Basic {CREDENTIAL}",
        CREDENTIAL,
        "Relaynet-Countersignature " + base64.b64encode(b"of a stranger").decode(),
    ],
)
async def test_answers_401_with_the_scheme_when_the_countersignature_is_missing_or_bad(
    http, gateway, authorization
):
    response = await post_parcel(http, authorization=authorization)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Relaynet-Countersignature"
    assert gateway.count("deliver") == 0


async def test_answers_401_when_the_countersignature_is_not_over_the_parcel(http, gateway):
    gateway.problems["deliver"] = Unauthenticated("not over this parcel")

    response = await post_parcel(http)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Relaynet-Countersignature"


async def test_judges_the_countersigner_before_it_looks_at_the_type(http):
    response = await post_parcel(http, authorization=None, content_type="text/plain")

    assert response.status_code == 401


@pytest.mark.rule("8.7")
async def test_judges_the_countersigner_before_it_reads_the_body(gateway):
    async with serve_poweb(poweb_app(gateway), "127.0.0.1:0", grace=1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /v1/parcels HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.awala.parcel\r\n"
            b"Content-Length: 1000000\r\nAuthorization: Relaynet-Countersignature eHh4\r\n\r\n"
        )

        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        writer.close()


async def test_refuses_parcels_of_another_type(http):
    assert (await post_parcel(http, content_type="application/octet-stream")).status_code == 415


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (MalformedRequest("bad"), 400),
        (Unprocessable("expired"), 422),
        (Full("no room"), 507),
        (TemporarilyUnavailable("later"), 503),
        (RuntimeError("a fault"), 500),
    ],
)
async def test_answers_a_parcel_with_what_the_gateway_says(http, gateway, problem, status):
    gateway.problems["deliver"] = problem

    response = await post_parcel(http)

    assert response.status_code == status
    assert response.json()["message"]
    assert "a fault" not in response.text


async def test_says_when_to_come_back(http, gateway):
    gateway.problems["deliver"] = TemporarilyUnavailable("later", retry_after=6.2)

    assert (await post_parcel(http)).headers["retry-after"] == "7"


async def test_takes_the_largest_parcel_and_none_larger(http, gateway):
    largest = await post_parcel(http, bytes(MAX_PARCEL_SIZE))
    larger = await post_parcel(http, bytes(MAX_PARCEL_SIZE + 1))

    assert (largest.status_code, larger.status_code) == (202, 413)
    assert gateway.count("deliver") == 1


async def test_bounds_parcels_of_undeclared_length(http, gateway):
    async def pieces():
        for _ in range(9 * 16):
            yield bytes(1 << 16)

    response = await post_parcel(http, pieces())

    assert response.status_code == 413
    assert gateway.count("deliver") == 0


async def test_holds_only_so_many_large_bodies_at_once(gateway):
    gateway.deliver_gate = asyncio.Event()
    bodies = LargeBodies(slots=1, patience=0.05)
    async with serving(gateway, large_bodies=bodies) as http:
        first = asyncio.create_task(post_parcel(http, bytes(1 << 20)))
        await gateway.until(lambda: gateway.count("deliver") == 1)

        refused = await post_parcel(http, bytes(1 << 20))
        small = asyncio.create_task(post_parcel(http, b"small"))
        await gateway.until(lambda: gateway.count("deliver") == 2)
        gateway.deliver_gate.set()

        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert (await first).status_code == (await small).status_code == 202


async def test_takes_a_withdrawal(http, gateway):
    response = await http.post(
        "/v1/parcel-deauthorizations",
        content=b"withdrawal",
        headers={"Content-Type": WITHDRAWAL, "Authorization": AUTHORIZATION},
    )

    assert response.status_code == 202
    assert gateway.calls[-1] == ("withdraw", b"withdrawal")


async def test_does_not_know_withdrawals_without_a_service_for_them(gateway):
    async with serving(gateway) as http:
        response = await http.post(
            "/v1/parcel-deauthorizations", content=b"x", headers={"Content-Type": WITHDRAWAL}
        )

    assert response.status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_answers_probes_of_the_root(http, method):
    response = await http.request(method, "/")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain"
    assert bool(response.text) == (method == "GET")


async def test_serves_its_connection_params(http, gateway):
    found = await http.get("/connection-params.der")
    gateway.params = None
    missing = await http.get("/connection-params.der")

    assert (found.status_code, found.content) == (200, b"params")
    assert found.headers["content-type"] == "application/vnd.etsi.tsl.der"
    assert missing.status_code == 404


@pytest.mark.rule("8.6")
@pytest.mark.parametrize("path", ["/", "/v1/pre-registrations", "/v1/nodes", "/v1/parcels"])
async def test_refuses_web_pages(http, gateway, path):
    method = "GET" if path == "/" else "POST"

    response = await http.request(method, path, headers={"Origin": "http://127.0.0.1:13276"})

    assert response.status_code == 400
    assert gateway.calls == []


@pytest.mark.rule("8.6")
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("gw.example", 200),
        ("GW.example.", 200),
        ("gw.example:8443", 200),
        ("[::1]:13276", 200),
        ("127.0.0.1", 400),
        ("evil.example", 400),
        ("", 400),
    ],
)
async def test_serves_only_the_hosts_that_are_allowed(gateway, host, status):
    async with serving(gateway, hosts=Hosts(["gw.example", "[::1]"])) as http:
        assert (await http.get("/", headers={"Host": host})).status_code == status


@pytest.mark.parametrize("path", ["/v1/pre-registrations", "/v1/nodes", "/v1/parcels"])
async def test_says_which_methods_there_are(http, path):
    wrong = await http.get(path)
    options = await http.options(path)

    assert wrong.status_code == 405
    assert "POST" in wrong.headers["allow"]
    assert options.status_code == 204
    assert "POST" in options.headers["allow"]


async def test_tells_a_plain_request_for_a_collection_to_upgrade(http):
    response = await http.get("/v1/parcel-collection")

    assert response.status_code == 426
    assert response.headers["upgrade"] == "websocket"


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/parcels/", "/v2/parcels", "/etc/passwd"])
async def test_knows_no_other_path(http, path):
    assert (await http.get(path)).status_code == 404


async def test_goes_on_after_a_client_hung_up_half_way(gateway):
    async with serve_poweb(poweb_app(gateway), "127.0.0.1:0", grace=1) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"POST /v1/parcels HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.awala.parcel\r\n"
            b"Content-Length: 10\r\nAuthorization: " + AUTHORIZATION.encode() + b"\r\n\r\nhalf"
        )
        await gateway.until(lambda: gateway.count("recognise") == 1)
        writer.close()
        await writer.wait_closed()
        async with httpx2.AsyncClient(base_url=f"http://{server.address}", trust_env=False) as http:
            assert (await post_parcel(http)).status_code == 202

    assert gateway.count("deliver") == 1
