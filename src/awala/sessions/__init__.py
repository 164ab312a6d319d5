# SPDX-License-Identifier: MIT
"""Channel sessions: end-to-end encryption with keys that move on (RS-003)."""

from __future__ import annotations

from awala.sessions.errors import NoSessionKeyError, PayloadError, SessionError, UnknownSessionKeyError
from awala.sessions.memory import MemorySessionKeyStore
from awala.sessions.port import OwnKey, PeerKey, SessionKeyStore
from awala.sessions.sessions import (
    HANDED_OUT_GRACE,
    MINIMUM_RETENTION,
    SESSION_KEY_RETENTION,
    STATIC_KEY_ROTATION,
    Sessions,
    required_key_id,
)

__all__ = [
    "HANDED_OUT_GRACE",
    "MINIMUM_RETENTION",
    "SESSION_KEY_RETENTION",
    "STATIC_KEY_ROTATION",
    "MemorySessionKeyStore",
    "NoSessionKeyError",
    "OwnKey",
    "PayloadError",
    "PeerKey",
    "SessionError",
    "SessionKeyStore",
    "Sessions",
    "UnknownSessionKeyError",
    "required_key_id",
]
