# SPDX-License-Identifier: MIT
"""Files that are damaged, foreign or out of reach: one line that names the file, exit 1, no traceback."""

from __future__ import annotations

import os
import shutil
import sqlite3

import pytest

LISTEN_ANYWHERE = {f"AWALA_{section}_LISTEN": "127.0.0.1:0" for section in ("POWEB", "POHTTP", "COGRPC")}
INIT = {
    "gateway": ("gateway", "init"),
    "internet-gateway": ("internet-gateway", "init", "--address", "igw.demo.test"),
    "courier": ("courier", "init"),
    "pong": None,
}
RUN = {
    "gateway": ("gateway", "run"),
    "internet-gateway": ("internet-gateway", "run"),
    "courier": ("courier", "run"),
    "pong": ("pong", "--address", "pong.demo.test"),
}
VAULTED = ("gateway", "internet-gateway", "pong")


@pytest.fixture(autouse=True)
def anywhere(monkeypatch):
    for name, value in LISTEN_ANYWHERE.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def made(awala, tmp_path):
    """Initialise a node; returns its data directory."""

    def make(node):
        data = tmp_path / node
        if INIT[node] is None:
            # The endpoint of a service is made when it first runs; here with a door that cannot be opened.
            awala(*RUN[node], "--listen", "192.0.2.1:1", "--data-dir", data)
        else:
            code, _, err = awala(*INIT[node], "--data-dir", data)
            assert code == 0, err
        return data

    return make


def complains(answer, *texts):
    code, out, err = answer
    assert (code, out) == (1, ""), answer
    assert err.startswith("awala: "), err
    assert err.count("\n") == 1, f"one line was due: {err}"
    assert "defect" not in err
    for text in texts:
        assert str(text) in err, err


@pytest.mark.parametrize("content", [b"", b"rubbish" * 1000, "cut", "flipped"], ids=["empty", "rubbish", "cut", "flipped"])
@pytest.mark.parametrize(("node", "store"), [*((node, "vault") for node in VAULTED), *((node, "spool") for node in ("gateway", "internet-gateway"))])
def test_a_damaged_store_is_named(awala, made, node, store, content):
    data = made(node)
    if store == "spool":
        awala(*RUN[node], "--data-dir", data)  # not reached
    print(sorted(str(f.relative_to(data)) for f in data.rglob("*")))
