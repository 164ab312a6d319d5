# SPDX-License-Identifier: MIT
"""A network namespace with an address of a local network, for peers that trust couriers nowhere else."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

LAN_ADDRESS: Final = "192.168.77.1"
"""Where a courier stands in the namespace; nothing outside of it is reached by this address."""


@contextmanager
def local_network(name: str) -> Iterator[tuple[str, ...]]:
    """Make a namespace, and yield the command that runs another one there; needs root."""
    namespace = f"{name}-{os.getpid()}"
    _ip("netns", "add", namespace)
    try:
        _ip("-netns", namespace, "link", "set", "lo", "up")
        _ip("-netns", namespace, "address", "add", f"{LAN_ADDRESS}/24", "dev", "lo")
        yield ("ip", "netns", "exec", namespace)
    finally:
        _ip("netns", "delete", namespace)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)  # noqa: S607 - wherever it is installed
