# SPDX-License-Identifier: MIT

from __future__ import annotations

import base64
import json

import pytest

from awala.cli.program import run_program
from helpers.vectors import DIRECTORY, STACKS, vector

NOW = "2026-11-21T00:55:00Z"


@pytest.fixture
def awala(capsys):
    def call(*arguments):
        code = run_program(["inspect", *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


def path(stack, name):
    return DIRECTORY / stack / name


def inspected(awala, *arguments):
    code, out, err = awala("--json", *arguments)
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize("stack", STACKS)
def test_explains_a_parcel_with_its_plaintext_and_authorisation(awala, stack):
    report = inspected(
        awala,
        *("--key", path(stack, "sk.pkcs8.der"), "--trust", path(stack, "igwCert.der"), "--at", NOW),
        path(stack, "parcel"),
    )

    recipient = inspected(awala, path(stack, "epCert.der"))["subject_id"]
    assert report["kind"] == "parcel"
    assert report["ttl"] == 3600
    assert report["size"] == len(vector(stack, "parcel"))
    assert report["recipient"] == {"id": recipient, "internet_address": "frankfurt.relaycorp.cloud"}
    assert report["plaintext"] == {
        "type": "application/vnd.example",
        "content_base64": base64.b64encode(b"hello world").decode(),
    }
    assert report["authorised"] is True
    assert report["path"][:2] == [report["sender"]["id"], recipient]
    assert len(report["path"]) == 4


@pytest.mark.parametrize("stack", STACKS)
def test_explains_a_parcel_without_an_address(awala, stack):
    report = inspected(awala, path(stack, "parcelNoAddr"))

    assert report["recipient"]["internet_address"] is None
    assert (report["id"], report["ttl"]) == ("abc", 200)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("epCert.der", "certificate"),
        ("pda.der", "certificate"),
        ("pca", "pca"),
        ("ncp.der", "node-connection-params"),
        ("pecp.der", "private-endpoint-connection-params"),
        ("rotation", "certificate-rotation"),
        ("sk.pkcs8.der", "private-key"),
        ("igw.spki.der", "public-key"),
    ],
)
def test_recognises_what_a_file_holds(awala, stack, name, kind):
    assert inspected(awala, path(stack, name))["kind"] == kind


@pytest.mark.parametrize("name", ["cargo", "cca"])
def test_opens_cargo_and_cca(awala, name):
    report = inspected(awala, "--key", path("js", "sk.pkcs8.der"), path("js", name))

    assert report["kind"] == name
    assert report["plaintext"].keys() & {"items", "cargo_delivery_authorization"}


def test_a_sender_who_is_not_authorised_is_no_failure(awala):
    report = inspected(
        awala, "--trust", path("js", "pgwCert.der"), "--at", "2036-01-01T00:00:00Z", path("js", "parcel")
    )

    assert report["authorised"] is False
    assert "expired" in report["reason"]


def test_reads_keys_and_certificates_in_pem(awala, tmp_path):
    key = tmp_path / "key.pem"
    key.write_bytes(pem("PRIVATE KEY", vector("js", "sk.pkcs8.der")))
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(pem("CERTIFICATE", vector("js", "epCert.der")))

    report = inspected(awala, "--key", key, "--trust", certificate, "--at", NOW, path("js", "parcel"))

    assert report["authorised"] is True
    assert report["plaintext"]["type"] == "application/vnd.example"


def pem(label, der):
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n".encode()


def test_shows_a_person_labels_and_values(awala):
    code, out, _ = awala("--key", path("js", "sk.pkcs8.der"), path("js", "parcel"))

    assert code == 0
    assert out.startswith("parcel\n")
    assert "  ttl: 3600\n" in out
    assert "    internet address: frankfurt.relaycorp.cloud\n" in out
    assert "11 octets of text: hello world" in out


def test_escapes_what_could_steer_a_terminal(awala, tmp_path):
    file = tmp_path / "message"
    file.write_bytes(b"\x30\x0d\x80\x05a\x1b[2J\x81\x04\x00\x01\x02\x03")

    code, out, err = awala("--as", "service-message", file)

    assert "\x1b" not in out + err
    assert code in (0, 1)


def test_reads_standard_input(awala, monkeypatch):
    class Stream:
        buffer = path("js", "pca").open("rb")

    monkeypatch.setattr("sys.stdin", Stream)

    assert inspected(awala, "-")["parcel_id"] == "the-id"


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\x30\x80" * 5_000, vector("js", "parcel")[:-1], bytes(100)]
)
def test_a_malformed_file_is_told_in_one_line_and_as_json(awala, tmp_path, content):
    file = tmp_path / "damaged"
    file.write_bytes(content)

    code, out, err = awala("--json", file)

    assert code == 1
    assert json.loads(out)["error"].keys() == {"class", "message"}
    assert err.startswith(f"awala: {file}: ")
    assert err.count("\n") == 1


def test_a_signature_that_does_not_hold_is_a_failure(awala, tmp_path):
    file = tmp_path / "forged"
    octets = bytearray(vector("js", "parcel"))
    octets[-1] ^= 1
    file.write_bytes(octets)

    code, _, err = awala(file)

    assert code == 1
    assert "signature" in err


def test_a_key_that_does_not_fit_is_a_failure(awala):
    code, _, err = awala("--key", path("jvm", "sk.pkcs8.der"), path("js", "parcel"))

    assert code == 1
    assert "key" in err


@pytest.mark.parametrize("option", ["--key", "--trust"])
def test_a_helping_file_that_is_something_else_is_named(awala, option, tmp_path):
    file = tmp_path / "other"
    file.write_bytes(b"something else")

    code, _, err = awala(option, file, path("js", "parcel"))

    assert code == 1
    assert len(err.splitlines()) == 1


def test_a_trusted_certificate_that_is_none_is_named(awala, tmp_path):
    file = tmp_path / "other"
    file.write_bytes(b"something else")

    _, _, err = awala("--trust", file, path("js", "parcel"))

    assert f"{file}: is no certificate" in err


def test_a_file_that_is_not_there_is_named(awala, tmp_path):
    code, out, err = awala(tmp_path / "nothing")

    assert (code, out) == (1, "")
    assert err == f"awala: {tmp_path / 'nothing'}: No such file or directory\n"


def test_a_file_that_is_too_large_is_refused(awala, tmp_path):
    file = tmp_path / "large"
    with file.open("wb") as stream:
        stream.truncate(16 * 1024 * 1024 + 1)

    code, _, err = awala(file)

    assert code == 1
    assert "larger than" in err


@pytest.mark.parametrize(
    "arguments",
    [[], ["--as", "letter", "x"], ["--at", "yesterday", "x"], ["--at", "2026-11-21T00:55:00", "x"]],
)
def test_wrong_usage_exits_with_2(awala, arguments):
    code, _, err = awala(*arguments)

    assert code == 2
    assert "Usage: awala inspect" in err
