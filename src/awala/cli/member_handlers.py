# SPDX-License-Identifier: MIT
"""How a running gateway answers the commands about the nodes that registered with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from awala.cli.answering import plain
from awala.cli.control import Answer, ControlError, Handler, argument
from awala.nodes.members import Members


def member_handlers(members: Members) -> dict[str, Handler]:
    """Return what answers those commands in the running gateway."""

    async def list_members(_arguments: dict[str, Any]) -> AsyncIterator[Answer]:
        yield {"members": plain(await members.all())}

    async def refuse(arguments: dict[str, Any]) -> AsyncIterator[Answer]:
        await members.refuse(_id(arguments))
        yield {}

    async def admit(arguments: dict[str, Any]) -> AsyncIterator[Answer]:
        await members.admit(_id(arguments))
        yield {}

    return {"members": list_members, "refuse": refuse, "admit": admit}


def _id(arguments: dict[str, Any]) -> str:
    node_id = argument(arguments, "id", str)
    if node_id is None:
        raise ControlError("the id of a node is missing")
    return node_id
