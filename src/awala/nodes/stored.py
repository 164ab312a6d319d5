# SPDX-License-Identifier: MIT
"""Small dealings with stored items that one lost body, or a store that fails, may not spoil for others."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from awala.base.errors import AwalaError
from awala.base.files import StorageError
from awala.spool.model import Item
from awala.spool.port import Spool

logger = logging.getLogger(__name__)

GIVE_BACK_ATTEMPTS = 3
"""How often a lease is given back to a store that fails, before it is left to its end."""


async def readable_body(spool: Spool, item: Item) -> bytes | None:
    """Return an item's octets; None if it is gone, replaced or cannot be read, which is told.

    For who hands out many items: what cannot be read stays, and does not keep the others.
    """
    try:
        return await spool.body(item)
    except StorageError as error:
        logger.warning("a stored message cannot be read and stays here: %s", error)
        return None


async def give_back(spool: Spool, items: Sequence[Item]) -> None:
    """End leases as if they had never been taken; a store that fails is told of and frees them later.

    Never raises, since it ends what was cancelled or broken off.
    """
    for attempt in range(1, GIVE_BACK_ATTEMPTS + 1):
        try:
            await spool.return_lease(items)
        except AwalaError as error:
            if attempt == GIVE_BACK_ATTEMPTS:
                logger.warning("%d messages stay reserved until their lease ends: %s", len(items), error)
        else:
            return
