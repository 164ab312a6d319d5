# SPDX-License-Identifier: MIT
"""Runs a PoWeb application with uvicorn."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from awala.bindings.poweb import names
from awala.bindings.poweb.server import PoWebApp
from awala.bindings.poweb.transport import PacedWebSocketProtocol
from awala.bindings.serving import DEFAULT_GRACE, Server, serve


@asynccontextmanager
async def serve_poweb(
    app: PoWebApp, listen: str, *, tls: ssl.SSLContext | None = None, grace: int = DEFAULT_GRACE
) -> AsyncIterator[Server]:
    """Serve the application on ``host:port`` with the WebSocket settings that PoWeb needs.

    Draining the server, or leaving the context, closes live collections with 4000 first.

    Raises:
        ConfigurationError: nothing can listen there.

    """
    async with serve(
        app,
        listen,
        tls=tls,
        grace=grace,
        on_drain=app.drain,
        ws=PacedWebSocketProtocol,
        ws_max_size=names.MAX_COLLECTOR_MESSAGE,
        ws_ping_interval=names.PING_INTERVAL,
        ws_ping_timeout=names.PONG_TIMEOUT,
        ws_per_message_deflate=False,
    ) as server:
        yield server
