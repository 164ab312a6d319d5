# SPDX-License-Identifier: MIT
"""Names, codes and limits of PoWeb on the wire: what is deployed, and RS-016's spelling (rules §1)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

PRE_REGISTRATION_PATH: Final = "/v1/pre-registrations"
PRE_REGISTRATION_PATH_OF_SPEC: Final = "/v1/pre-registration"
NODES_PATH: Final = "/v1/nodes"
PARCELS_PATH: Final = "/v1/parcels"
COLLECTION_PATH: Final = "/v1/parcel-collection"
WITHDRAWALS_PATH: Final = "/v1/parcel-deauthorizations"
CONNECTION_PARAMS_PATH: Final = "/connection-params.der"

COUNTERSIGNATURE: Final = "Relaynet-Countersignature"
COUNTERSIGNATURE_OF_SPEC: Final = "Awala-Countersignature"
STREAMING_MODE: Final = "X-Relaynet-Streaming-Mode"
STREAMING_MODE_OF_SPEC: Final = "X-Awala-Streaming-Mode"
WINDOW: Final = "X-Awala-Collection-Window"

DIGEST: Final = "text/plain"
"""Content type of a pre-registration: the digest of a public key in hexadecimal."""

DIGEST_LENGTH: Final = 64
"""Characters of such a digest."""

MAX_DIGEST_BODY: Final = 1024
"""Octets read of a pre-registration; anything but 64 characters is refused anyway."""

MAX_REGISTRATION_REQUEST: Final = 1024 * 1024
"""Octets of a PNRR, and of every answer that a client reads."""

MAX_COLLECTOR_MESSAGE: Final = 6 * 1024
"""Octets of a message that a collector sends; a handshake response has about 2 KiB."""

MAX_WINDOW: Final = 5
"""Unacknowledged deliveries at once, if the collector asks for them (rules §8)."""

NONCE_SIZE: Final = 16
"""Octets of the handshake's nonce."""

CONNECT_TIMEOUT: Final = 5.0
"""Seconds within which a client's connection has to stand; TLS, or the WebSocket, included."""

HANDSHAKE_TIMEOUT: Final = 10.0
"""Seconds within which a collector has to answer the challenge (rules §8)."""

PING_INTERVAL: Final = 5.0
"""Seconds between pings, from the start of the connection (rules §8)."""

PONG_TIMEOUT: Final = 4.0
"""Seconds that a pong may take, so that its absence is noticed 9 s after the pong before (rules §8)."""

SILENCE: Final = 9.0
"""Seconds without a sign of life after which a collector gives a server up (rules §8)."""


class CloseCode(IntEnum):
    """How a parcel collection ends (RS-016 §3.4, RFC 6455 §7.4)."""

    COMPLETED = 1000
    GOING_AWAY = 1001
    NO_CODE = 1005
    LOST = 1006
    REFUSED = 1003
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TRY_LATER = 1013
    DRAINED = 4000
