# SPDX-License-Identifier: MIT
"""The PoHTTP door of an Internet node: takes parcels, and shows the node's connection parameters."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from awala.bindings.asgi import MAX_BODY_SIZE, Handler, HttpApp, LargeBodies, Request, Response
from awala.bindings.hosts import Hosts
from awala.bindings.pohttp.client import CONNECTION_PARAMS_PATH
from awala.messages.media_types import CONNECTION_PARAMS, PARCEL


class PoHttpService(Protocol):
    """What a node offers through PoHTTP."""

    async def deliver(self, parcel: bytes) -> None:
        """Take over a serialised parcel; returns once it is safe, and so answered with 202.

        Raises:
            MalformedRequest: it is no parcel (400).
            Forbidden: it is not valid or not authorised (403).
            Full: there is no room (507).
            TemporarilyUnavailable: not now (503).

        """
        ...


def pohttp_app(
    service: PoHttpService,
    connection_params: Callable[[], bytes] | None = None,
    *,
    hosts: Hosts | None = None,
    large_bodies: LargeBodies | None = None,
) -> HttpApp:
    """Return the ASGI application that serves ``service``.

    Args:
        service: takes the parcels.
        connection_params: returns the node's present connection parameters; None serves none.
        hosts: what the Host header may name (rules §8); None takes any, as behind a proxy.
        large_bodies: bounds how many large parcels are in memory at once.

    """
    bodies = large_bodies or LargeBodies()

    async def deliver(request: Request) -> Response:
        request.require_content_type(PARCEL)
        async with bodies.room_for(request):
            await service.deliver(await request.body(MAX_BODY_SIZE))
        return Response.json({}, HTTPStatus.ACCEPTED)

    async def greet(_request: Request) -> Response:
        return Response.text("This is an Awala node: parcels are taken here.\n")

    routes: dict[str, dict[str, Handler]] = {"/": {"GET": greet, "POST": deliver}}
    if connection_params is not None:
        routes[CONNECTION_PARAMS_PATH] = {"GET": _serving(connection_params)}
    return HttpApp(routes, hosts=hosts)


def _serving(connection_params: Callable[[], bytes]) -> Handler:
    async def serve(_request: Request) -> Response:
        return Response(body=connection_params(), content_type=CONNECTION_PARAMS)

    return serve
