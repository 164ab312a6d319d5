# SPDX-License-Identifier: MIT
"""Turns settings into what nodes are told when they start."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from awala.base.errors import ConfigurationError
from awala.bindings.addressing import Validation
from awala.cli.settings import Door, Encryption, Resolver, Storage, Tls
from awala.crypto import ContentCipher
from awala.nodes.config import DoorConfig, EncryptionConfig, NetworkConfig, ResolverConfig, StorageConfig


def door_config(door: Door, section: str) -> DoorConfig:
    """Return where and how the door of a section listens.

    Raises ConfigurationError for half a certificate, and for one that cannot be used.
    """
    if (door.tls_cert is None) != (door.tls_key is None):
        raise ConfigurationError(f"[{section}] tls_cert and tls_key go together: one of them is missing")
    for file in (door.tls_cert, door.tls_key):
        if file is not None and not file.is_file():
            raise ConfigurationError(f"[{section}] the TLS file {file} does not exist")
    if door.tls_cert is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(door.tls_cert, door.tls_key, password="")
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"[{section}] {door.tls_cert} and {door.tls_key} are no certificate (PEM) and its key"
            ) from error
    return DoorConfig(listen=door.listen, tls_cert=door.tls_cert, tls_key=door.tls_key)


def network_config(resolver: Resolver, tls: Tls) -> NetworkConfig:
    """Return how a node reaches others."""
    return NetworkConfig(
        resolver=ResolverConfig(
            url=resolver.url,
            validation=Validation(resolver.validation),
            anchors=resolver.anchors,
            allow_networks=tuple(resolver.allow_networks),
        ),
        ca_file=tls.ca_file,
        minimum_tls_version=tls.minimum_version,
    )


def encryption_config(encryption: Encryption) -> EncryptionConfig:
    """Return how a node encrypts what it sends."""
    return EncryptionConfig(content_cipher=ContentCipher(encryption.content_cipher.upper()))


def storage_config(storage: Storage, data_dir: Path) -> StorageConfig:
    """Return where a node keeps its messages: SQLite, in the data directory unless a URL names another."""
    if storage.objects is not None:
        raise ConfigurationError("[storage] objects: bodies are kept in the data directory in this version")
    if storage.url is None:
        return _storage_config(data_dir, storage)
    url = urlsplit(storage.url)
    if url.scheme != "sqlite" or url.netloc or not url.path.startswith("/"):
        raise ConfigurationError(
            "[storage] url: must be sqlite:///DIRECTORY; other databases are not supported in this version"
        )
    return _storage_config(Path(url.path), storage)


def _storage_config(directory: Path, storage: Storage) -> StorageConfig:
    return StorageConfig(
        directory=directory,
        quota=storage.quota,
        mailbox_quota=storage.mailbox_quota,
        pair_quota=storage.pair_quota,
        session_key_retention=storage.session_key_retention,
    )
