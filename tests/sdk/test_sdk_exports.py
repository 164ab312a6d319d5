# SPDX-License-Identifier: MIT

from __future__ import annotations

import subprocess
import sys

import pytest

import awala
from awala import sdk


def test_the_package_exports_the_sdks_names_and_nothing_else():
    assert awala.__all__ == sdk.__all__
    assert all(getattr(awala, name) is getattr(sdk, name) for name in awala.__all__)
    assert set(awala.__all__) <= set(dir(awala))


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        _ = awala.Nonsense


@pytest.mark.parametrize(
    ("statement", "loaded", "absent"),
    [
        ("import awala", "awala", "awala.sdk"),
        ("from awala import PrivateApp", "awala.sdk.app", "starlette"),
        ("import awala.cli.gateway", "awala.cli.asking", "cryptography"),
        ("import awala.cli.gateway", "awala.cli.asking", "pydantic"),
        ("import awala.cli.gateway_node", "awala.nodes.private_gateway.visit", "grpc"),
    ],
)
def test_imports_bring_no_more_than_is_needed(statement, loaded, absent):
    check = f"import sys; {statement}; sys.exit({loaded!r} not in sys.modules or {absent!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
