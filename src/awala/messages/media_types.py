# SPDX-License-Identifier: MIT
"""Media types of bodies and service messages; peers compare them to the letter, without parameters."""

from __future__ import annotations

from typing import Final

PARCEL: Final = "application/vnd.awala.parcel"
"""A serialised parcel (RS-016, PoHTTP)."""

REGISTRATION_AUTHORIZATION: Final = "application/vnd.awala.node-registration.authorization"
"""A private node registration authorization, PNRA (RS-016)."""

REGISTRATION_REQUEST: Final = "application/vnd.awala.node-registration.request"
"""A private node registration request, PNRR (RS-016)."""

REGISTRATION: Final = "application/vnd.awala.node-registration.registration"
"""A private node registration, PNR (RS-016)."""

PARCEL_DEAUTHORIZATION: Final = "application/vnd.awala.parcel-deauthorization"
"""A parcel delivery deauthorization, PDD (rules §3, an extension of this implementation)."""

CONNECTION_PARAMS: Final = "application/vnd.etsi.tsl.der"
"""Node connection parameters as deployed hosts serve them."""

PDA_PATH: Final = "application/vnd+relaycorp.awala.pda-path"
"""The service message that hands over a parcel delivery authorisation."""

PING: Final = "application/vnd.awala.ping-v1.ping"
"""A ping of the Ping service (RS-014)."""

PONG: Final = "application/vnd.awala.ping-v1.pong"
"""The answer to a ping (RS-014)."""
