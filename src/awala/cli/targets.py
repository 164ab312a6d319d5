# SPDX-License-Identifier: MIT
"""Arguments ``ADDRESS|PARAMS_FILE``: another node, by its Internet address or its connection parameters."""

from __future__ import annotations

from pathlib import Path

from awala.base.errors import AwalaError
from awala.messages import MessageError, NodeConnectionParams, is_internet_address, normalise_address

MAX_PARAMS_FILE = 65_536
"""Octets that a file of connection parameters may have."""


class ParamsFileError(AwalaError):
    """A file that cannot be used as connection parameters."""

    advice = "Get the file again from whoever runs that node."


class TargetError(AwalaError):
    """An argument that names neither a file nor an Internet address."""

    advice = "Name a file of connection parameters, or a domain name such as example.com."


def read_target(target: str) -> bytes | str:
    """Return what an argument ``ADDRESS|PARAMS_FILE`` names: the file's parameters, or the address.

    Raises TargetError if it is neither, ParamsFileError if the file cannot be used.
    """
    file = Path(target)
    if file.exists() and not file.is_dir():
        return _read_params(file)
    address = normalise_address(target)
    if not is_internet_address(address):
        raise TargetError(f"{target!r} is neither a file nor a domain name")
    return address


def _read_params(file: Path) -> bytes:
    """Return the content of a file of connection parameters, once it has been read as such."""
    try:
        octets = file.read_bytes()
        if len(octets) > MAX_PARAMS_FILE:
            raise ParamsFileError(f"{file}: is too large for connection parameters")
        NodeConnectionParams.parse(octets)
    except OSError as error:
        raise ParamsFileError(f"{file}: cannot be read: {error.strerror}") from error
    except MessageError as error:
        raise ParamsFileError(f"{file}: holds no connection parameters of a node: {error}") from error
    return octets
