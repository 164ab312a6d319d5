# SPDX-License-Identifier: MIT
"""Serves the page and takes its orders."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from awala.base.errors import AwalaError
from awala.bindings.serving import serve
from awala.demo.errors import DemoError
from awala.demo.page.guard import Guard
from awala.demo.page.live import BusyError, Live

MAX_BODY = 16_384
"""Octets of an order."""

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}

Order = Callable[[Request, dict[str, Any]], Awaitable[None]]


@asynccontextmanager
async def serve_page(live: Live, port: int) -> AsyncIterator[str]:
    """Serve the page on a port of this machine, 0 for any free one; give its address, with the token."""
    guard = Guard(_app(live))

    async def on_drain() -> None:
        live.hub.close()

    async with serve(guard, f"127.0.0.1:{port}", on_drain=on_drain) as server:
        yield f"http://{server.address}/?token={guard.token}"


def _app(live: Live) -> Starlette:
    async def events(_request: Request) -> Response:
        if live.hub.is_full:
            return _refusal("too many pages are open", HTTPStatus.SERVICE_UNAVAILABLE)
        return StreamingResponse(live.hub.events(live.picture), media_type="text/event-stream")

    async def link(request: Request, order: dict[str, Any]) -> None:
        cut = order.get("cut")
        if not isinstance(cut, bool):
            raise DemoError("'cut' must be true or false")
        await live.switch(live.side(request.path_params["side"]), cut=cut)

    async def chat(request: Request, order: dict[str, Any]) -> None:
        await live.say(live.side(request.path_params["side"]), str(order.get("text", "")))

    async def courier(_request: Request, _order: dict[str, Any]) -> None:
        live.send_courier()

    async def ping(_request: Request, _order: dict[str, Any]) -> None:
        live.ping()

    return Starlette(
        routes=[
            *(Route(path, _file(*entry), methods=["GET"]) for path, entry in _FILES.items()),
            Route("/events", events, methods=["GET"]),
            Route("/link/{side}", _taking(link), methods=["POST"]),
            Route("/chat/{side}", _taking(chat), methods=["POST"]),
            Route("/courier", _taking(courier), methods=["POST"]),
            Route("/ping", _taking(ping), methods=["POST"]),
        ]
    )


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = (resources.files(__package__) / "static" / name).read_bytes()

    async def answer(_request: Request) -> Response:
        return Response(content, media_type=media_type)

    return answer


def _taking(order: Order) -> Callable[[Request], Awaitable[Response]]:
    """Return what reads an order's JSON, has it done and answers."""

    async def answer(request: Request) -> Response:
        try:
            await order(request, await _read(request))
        except KeyError:
            return _refusal("there is no such side", HTTPStatus.NOT_FOUND)
        except BusyError as error:
            return _refusal(str(error), HTTPStatus.CONFLICT)
        except AwalaError as error:
            return _refusal(str(error), HTTPStatus.BAD_REQUEST)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return answer


async def _read(request: Request) -> dict[str, Any]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise DemoError("the request is too long")
    try:
        order = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise DemoError("the request is no JSON") from error
    if not isinstance(order, dict):
        raise DemoError("the request is no JSON object")
    return order


def _refusal(message: str, status: HTTPStatus) -> Response:
    return JSONResponse({"message": message}, status_code=status)
