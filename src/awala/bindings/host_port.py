# SPDX-License-Identifier: MIT
"""Hosts and ports as people and configurations write them: ``host:port``, ``[v6]:port``."""

from __future__ import annotations

from typing import Final

from awala.base.errors import ConfigurationError

MAX_PORT: Final = 65535


def split_address(address: str, *, default_port: int | None = None) -> tuple[str, int]:
    """Split ``host:port``, ``[v6]:port`` or, with ``default_port``, a bare host.

    Raises:
        ConfigurationError: it is neither.

    """
    host, colon, port = address.rpartition(":")
    if (not colon or address.endswith("]")) and default_port is not None:
        host, port = address, str(default_port)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not host or not (port.isascii() and port.isdigit()) or int(port) > MAX_PORT:
        raise ConfigurationError(f"Not a host and a port: {address!r}")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """Write a host and a port as ``split_address`` reads them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
