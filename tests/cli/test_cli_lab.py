# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import stat
from pathlib import Path

import pytest

from awala.bindings.addressing import DohResolver, Service, Target, TrustAnchors, Validation
from awala.bindings.addressing.errors import ResolverUnavailable
from awala.bindings.host_port import split_address
from awala.demo.lab import UnknownLinkError, endpoint, open_lab
from helpers.commands import read_environment_file, running

DEVICE_LINKS = ["resolver", "gateway.demo.test/poweb"]
OTHER_LINKS = ["gateway.demo.test/pohttp", "gateway.demo.test/cogrpc", "pong.demo.test/pohttp"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("lab") / "files"


@pytest.fixture(scope="module")
def lab(directory):
    with running("lab", "run", "--data-dir", directory, home=directory.parent) as process:
        yield process


def resolver(settings):
    return DohResolver(
        settings["AWALA_RESOLVER_URL"],
        validation=Validation(settings["AWALA_RESOLVER_VALIDATION"]),
        anchors=TrustAnchors.load(Path(settings["AWALA_RESOLVER_ANCHORS"])),
        tls=ssl.create_default_context(cafile=settings["AWALA_TLS_CA_FILE"]),
        allow_networks=settings["AWALA_RESOLVER_ALLOW_NETWORKS"].split(","),
    )


async def locate(settings, address, service):
    asking = resolver(settings)
    try:
        return await asking.locate(address, service)
    finally:
        await asking.aclose()


def states(out):
    return {link["name"]: link["cut"] for link in json.loads(out)["links"]}


@pytest.mark.parametrize("place", ["devices", "courier", "gateway.demo.test", "pong.demo.test"])
async def test_each_place_finds_every_service_by_signed_names(lab, directory, place):
    settings = read_environment_file(directory / f"{place}.env")

    for address, service, link in [
        ("gateway.demo.test", Service.GATEWAY_SYNC, "gateway.demo.test/poweb"),
        ("gateway.demo.test", Service.PARCEL_DELIVERY, "gateway.demo.test/pohttp"),
        ("gateway.demo.test", Service.COURIER_RELAY, "gateway.demo.test/cogrpc"),
        ("pong.demo.test", Service.PARCEL_DELIVERY, "pong.demo.test/pohttp"),
    ]:
        _, port = split_address(lab.ready[link])
        assert await locate(settings, address, service) == [Target(address, port)]


@pytest.mark.usefixtures("lab")
def test_places_differ_in_what_they_must_differ_in(directory):
    devices, courier, gateway, pong = (
        read_environment_file(directory / f"{place}.env")
        for place in ("devices", "courier", "gateway.demo.test", "pong.demo.test")
    )

    assert courier["AWALA_RESOLVER_URL"] == gateway["AWALA_RESOLVER_URL"] == pong["AWALA_RESOLVER_URL"]
    assert {settings["AWALA_LAB_DATA_DIR"] for settings in (devices, courier, pong)} == {str(directory)}
    assert devices["AWALA_RESOLVER_URL"] != courier["AWALA_RESOLVER_URL"]
    assert not any("TLS_CERT" in name or "LISTEN" in name for name in {**devices, **courier})
    assert gateway["AWALA_COGRPC_LISTEN"] == "127.0.0.1:8082"
    assert pong["AWALA_POHTTP_LISTEN"] == "127.0.0.1:8083"
    assert "AWALA_POWEB_LISTEN" not in pong
    assert len({settings["XDG_DATA_HOME"] for settings in (devices, gateway, pong)}) == 3
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pong["AWALA_POHTTP_TLS_CERT"], pong["AWALA_POHTTP_TLS_KEY"])


@pytest.mark.usefixtures("lab")
def test_a_terminal_may_change_its_place(directory, tmp_path):
    both = tmp_path / "both.env"
    both.write_text(f'. "{directory}/gateway.demo.test.env"\n. "{directory}/devices.env"\n')

    assert read_environment_file(both) == read_environment_file(directory / "devices.env")


@pytest.mark.usefixtures("lab")
def test_the_files_are_private(directory):
    files = [file for file in directory.iterdir() if file.is_file()]

    assert {"devices.env", "ca.pem", "pong.demo.test.key"} <= {file.name for file in files}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


@pytest.mark.usefixtures("lab")
async def test_cut_and_mend_take_the_devices_off_the_internet_and_back(awala, directory):
    devices = read_environment_file(directory / "devices.env")
    courier = read_environment_file(directory / "courier.env")
    asked = ("gateway.demo.test", Service.COURIER_RELAY)

    _, cut, _ = await asyncio.to_thread(awala, "lab", "cut", "--json", "--data-dir", directory)
    _, status, _ = await asyncio.to_thread(awala, "lab", "status", "--json", "--data-dir", directory)
    with pytest.raises(ResolverUnavailable):
        await locate(devices, *asked)
    assert await locate(courier, *asked)
    _, mended, _ = await asyncio.to_thread(awala, "lab", "mend", "--json", "--data-dir", directory)

    assert states(cut) == dict.fromkeys(DEVICE_LINKS, True)
    assert states(status) == dict.fromkeys(DEVICE_LINKS, True) | dict.fromkeys(OTHER_LINKS, False)
    assert states(mended) == dict.fromkeys(DEVICE_LINKS, False)
    assert await locate(devices, *asked)


def test_one_link_can_be_cut_by_its_name(awala, lab, directory, monkeypatch):
    monkeypatch.setenv("AWALA_LAB_DATA_DIR", str(directory))
    link = "gateway.demo.test/cogrpc"

    code, out, _ = awala("lab", "cut", link)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(split_address(lab.ready[link]))
    _, mended, _ = awala("lab", "mend", link)

    assert (code, out) == (0, f"{link} (courier to gateway.demo.test): cut, 0 octets crossed\n")
    assert mended == f"{link} (courier to gateway.demo.test): whole, 0 octets crossed\n"
    socket.create_connection(split_address(lab.ready[link])).close()


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("command", ["cut", "mend"])
def test_a_link_that_is_not_there_is_an_error_which_lists_those_that_are(awala, directory, command):
    code, out, err = awala("lab", command, "nowhere", "--data-dir", directory)

    assert (code, out) == (1, "")
    assert err.startswith("awala: there is no link 'nowhere'; there are resolver, gateway.demo.test/poweb, ")
    assert err.count("\n") == 1


def test_more_hosts_can_be_had(tmp_path):
    options = ("--internet-gateway", "other.demo.test=9080,9081,9082", "--endpoint", "pong.demo.test=9083")
    with running("lab", "run", "--data-dir", tmp_path / "lab", *options, home=tmp_path) as process:
        settings = read_environment_file(tmp_path / "lab" / "other.demo.test.env")
        pong = read_environment_file(tmp_path / "lab" / "pong.demo.test.env")
        code, out, err = process.stop(signal.SIGINT)

    assert "other.demo.test/cogrpc" in process.ready
    assert settings["AWALA_COGRPC_LISTEN"] == "127.0.0.1:9082"
    assert pong["AWALA_POHTTP_LISTEN"] == "127.0.0.1:9083"
    assert (code, out) == (0, "")
    assert "Traceback" not in err


@pytest.mark.usefixtures("lab")
def test_a_directory_has_one_lab_at_a_time(awala, lab, directory):
    code, _, err = awala("lab", "run", "--data-dir", directory)

    assert code == 1
    assert f"in use by process {lab.process.pid}" in err


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--endpoint", "pong.example.com=1", "the name must be a domain name that ends in .test"),
        ("--endpoint", "two words.test=1", "the name must be a domain name that ends in .test"),
        ("--endpoint", "pong.demo.test", "after the name goes = and one port"),
        ("--endpoint", "pong.demo.test=x", "after the name goes = and one port"),
        ("--endpoint", "pong.demo.test=0", "ports go from 1 to 65535"),
        ("--internet-gateway", "a.demo.test=1,2", "after the name goes = and 3 ports, with commas between"),
        ("--internet-gateway", "a.demo.test=1,2,65536", "ports go from 1 to 65535"),
    ],
)
def test_a_host_that_cannot_be_is_wrong_usage(awala, option, value, complaint):
    code, out, err = awala("lab", "run", option, value)

    assert (code, out) == (2, "")
    assert complaint in err


async def test_links_count_what_crosses(tmp_path):
    async def answer(_reader, writer):
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    async with server, open_lab(tmp_path, [endpoint("x.test", server.sockets[0].getsockname()[1])]) as lab:
        name = "x.test/pohttp"
        reader, writer = await asyncio.open_connection(*split_address(lab.links[name].proxies[0].address))
        assert await reader.read() == b"hello"
        writer.close()

        assert next(link for link in lab.status() if link["name"] == name)["octets"] == 5
        with pytest.raises(UnknownLinkError):
            await lab.cut("y.test")
