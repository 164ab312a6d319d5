# SPDX-License-Identifier: MIT
"""The limits and times of CogRPC (rules §1 and §6)."""

from __future__ import annotations

from typing import Final

COURIER_PORT: Final = 21473
"""The TCP port on which couriers listen (RS-008)."""

MAX_CARGO: Final = 9_437_184
"""Octets of a RAMF message that is accepted (rules §1)."""

MAX_MESSAGE: Final = MAX_CARGO + 256
"""Octets of a gRPC message that is accepted: a cargo, its id and the framing."""

MAX_DELIVERY_ID: Final = 200
"""Octets of a delivery id, in UTF-8; deployed peers use 36."""

MAX_FIELDS: Final = 64
"""Fields in one message, unknown ones included."""

MAX_METADATA_SOFT: Final = 8192
"""Octets of metadata that are always accepted (rules §6)."""

MAX_METADATA: Final = 16_384
"""Octets of metadata above which a call is always refused (rules §6)."""

MAX_EMITTED_METADATA: Final = 5400
"""Octets of an authorization value that we made and send: deployed servers accept 6000 in all (rules §6)."""

MAX_RELAYED_METADATA: Final = 7400
"""Octets of one that a courier passes on: the rest of the call still fits the soft limit (decision 54)."""

CALLS_PER_CONNECTION: Final = 3
"""Calls that one connection may have open."""

CALLS_PER_SERVER: Final = 64
"""Calls that one server has open, for each may hold two cargoes in memory."""

CALLS_PER_PEER: Final = 8
"""Calls that one address has open at a server, so that nobody takes all of them."""

CONNECTIONS: Final = 1024
"""Connections that one server has open."""

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds for TLS and the beginning of HTTP/2 on a new connection; gRPC by itself would allow two minutes."""

COURIER_CONNECTION_SHARE: Final = 4
"""A connection may bring one part in so many of what a courier has room for (rules §11)."""

COURIER_CONNECTION_QUOTA: Final = 1024 * 1024 * 1024
"""Octets that a connection may bring to a courier whose room nobody limited."""

COUNTED_CONNECTIONS: Final = 4096
"""Connections whose octets are remembered; the one that brought nothing for longest is forgotten first."""

PORT_PATIENCE: Final = 5.0
"""Seconds that a server which begins anew waits for its own port."""

CONNECTION_AGE: Final = 15 * 60.0
"""Seconds after which a connection is asked to end."""

CONNECTION_GRACE: Final = 30.0
"""Seconds that calls have to end once their connection is too old."""

END_WAIT: Final = 2.0
"""Seconds in which a peer may end a delivery that it acknowledged whole; some never do (decision 49)."""

CONNECTION_IDLE: Final = 10.0
"""Seconds after which a connection without a call is closed."""

ACK_HOLD: Final = 0.3
"""Seconds that an acknowledgement waits for the next cargo: deployed senders stop when nothing is pending."""

DEADLINE_MARGIN: Final = 0.5
"""Seconds before the client's deadline at which a collection stops (rules §6)."""

COURIER_ACK_WAIT: Final = 30.0
"""Seconds that a courier waits for acknowledgements after its last cargo."""

GATEWAY_ACK_WAIT: Final = 0.5
"""Seconds that an Internet gateway listens for acknowledgements after its last cargo."""
