# SPDX-License-Identifier: MIT
"""Has the reference library read the examples of docs/protocol, as of the moment for which they were made."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import protocol_cast as cast
import pytest
from protocol_examples import DIRECTORY

from helpers.node_peer import FOLDER, PRODUCTION

pytestmark = pytest.mark.requires("node")

READER = FOLDER / "examples.mjs"
NODES = {name: cast.identity(name).node_id for name in cast.IDENTITIES}
SESSIONS = {name: cast.session(name).key_id.hex() for name in cast.SESSIONS}
UPLINK = [NODES["private-gateway"], NODES["internet-gateway"]]


def example(name: str) -> str:
    return (DIRECTORY / name).read_bytes().hex()


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Return what the library found; it reads everything in one go, and ends at the first refusal."""
    node = shutil.which("node")
    assert node is not None
    words = [node, READER, FOLDER / PRODUCTION, DIRECTORY, cast.AT.isoformat()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_reference_library_authorises_and_opens_the_parcel(found):
    assert found["parcel"] == {
        "id": cast.MESSAGE_ID,
        "originator": SESSIONS["endpoint-b"],
        "path": [NODES["endpoint-b"], NODES["endpoint-a"], *UPLINK],
        "payload": ["application/vnd.example", "hello world"],
        "ttl": 97_200,
    }


def test_the_reference_library_authorises_and_opens_the_cargo_and_the_authorisation_to_collect(found):
    common = {"originator": SESSIONS["private-gateway"], "path": UPLINK}

    items = [example("pca.bin"), example("parcel.bin")]
    assert found["cargo"] == {"id": cast.CARGO_ID, "payload": items, "ttl": 97_200, **common}
    authorization = example("cda.cert.der")
    assert found["cca"] == {"id": cast.CCA_ID, "payload": authorization, "ttl": 7_786_800, **common}


def test_the_reference_library_reads_the_control_messages(found):
    assert found["ack"] == [NODES["endpoint-b"], NODES["endpoint-a"], cast.MESSAGE_ID]
    assert found["rotation"] == UPLINK
    assert found["refusesRotationInPlace"], "the pages say that this stack cannot read that form"


def test_the_reference_library_reads_the_connection_params(found):
    assert found["params"] == [cast.ADDRESS, SESSIONS["internet-gateway"]]
    assert found["privateParams"] == [cast.ADDRESS, SESSIONS["endpoint-a"], NODES["endpoint-b"]]


def test_the_reference_library_verifies_the_registration(found):
    digest = cast.identity("private-gateway").public_key.digest

    assert found["authorization"] == (cast.NONCE + digest).hex()
    assert found["request"] == [NODES["private-gateway"], example("registration-authorization.der")]
    assert found["registration"] == [cast.ADDRESS, SESSIONS["internet-gateway"], NODES["private-gateway"]]


def test_the_reference_library_verifies_the_collection(found):
    assert found["nonce"] == cast.NONCE.hex()
    assert found["collector"] == found["countersigner"] == NODES["private-gateway"]
