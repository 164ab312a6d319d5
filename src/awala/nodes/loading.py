# SPDX-License-Identifier: MIT
"""Names the data directory when what a node finds in its vault is missing or cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from awala.base.errors import AwalaError, ConfigurationError, StorageFullError
from awala.base.files import StorageError
from awala.nodes.errors import NodeError, NotInitialisedError
from awala.vault import VaultLockedError


class DamagedVaultError(NodeError):
    """A vault that opens, but holds keys, certificates or records that cannot be read."""

    advice = "Restore the data directory from a backup; without one, begin anew with an empty directory."


@contextmanager
def loading(directory: Path) -> Iterator[None]:
    """Explain what is found wrong while a node is loaded from the vault in ``directory``.

    Raises NotInitialisedError and DamagedVaultError; errors of the store itself and of the configuration
    name their own place.
    """
    try:
        yield
    except NotInitialisedError as error:
        raise NotInitialisedError(f"{directory}: {error}") from error
    except (StorageError, StorageFullError, ConfigurationError, VaultLockedError):
        raise
    except (AwalaError, ValueError, LookupError, TypeError) as error:
        reason = str(error) if isinstance(error, AwalaError) else "a record in it is damaged"
        raise DamagedVaultError(f"{directory / 'vault'} cannot be used: {reason}") from error
