# SPDX-License-Identifier: MIT
"""Limits of messages, in octets unless a name says otherwise (rules §1, where they were measured)."""

from __future__ import annotations

from typing import Final

MAX_RAMF_SIZE: Final = 9_437_184
"""Largest RAMF message that is read (rules §1; deployed parsers, 9 MiB)."""

EMITTED_RAMF_MAX: Final = 8_396_800
"""Largest RAMF message that is written (RS-001 §4)."""

MAX_PARCEL_SIZE: Final = 8_322_038
"""Largest parcel that is read (rules §1)."""

EMITTED_PARCEL_MAX: Final = 8_322_037
"""Largest parcel that is written (RS-000, Parcel)."""

MAX_PAYLOAD_SIZE: Final = 8_388_608
"""Largest payload field that is read (RS-001 §4)."""

EMITTED_PAYLOAD_MAX: Final = 8_388_607
"""Largest payload field that is written: one deployed parser stops here (rules §1)."""

MAX_MESSAGE_ID_LENGTH: Final = 64
"""Characters in a message id (rules §1)."""

MAX_RECIPIENT_ID_LENGTH: Final = 1024
"""Characters in the id of a recipient; routable ids have 65 (rules §1)."""

MAX_ADDRESS_LENGTH: Final = 253
"""Characters in an Internet address, which is a domain name (RFC 1035 §2.3.4)."""

MAX_TTL: Final = 15_552_000
"""Longest time to live, in seconds: 180 days (RS-001 §4)."""

MAX_CERTIFICATES: Final = 16
"""Certificates embedded in one message, the sender's included (rules §1)."""

MAX_SDU: Final = 8_322_048
"""Largest plaintext of a cargo: a serialised cargo message set (RS-000, Cargo)."""

MAX_SERVICE_MESSAGE: Final = 8_256_501
"""Largest service message, serialised, that is written (rules §1)."""

MAX_CARGO_ITEMS: Final = 100_000
"""Items in one cargo that is read (rules §1)."""

EMITTED_CARGO_ITEMS: Final = 4_000
"""Items that are put into one cargo: newer releases of asn1js stop at 5 000 (decision 13)."""

MAX_CARGO_ITEM_SIZE: Final = 8_322_038
"""Largest item in a cargo that is written (the largest parcel; rules §1)."""

CARGO_TARGET_INTERNET: Final = MAX_SDU
"""What a cargo towards an Internet gateway is filled to (rules §1)."""

CARGO_TARGET_PRIVATE: Final = 4 * 1024 * 1024 - 64 * 1024
"""What a cargo towards a private gateway is filled to: some collectors stop at 4 MiB (rules §1)."""

MAX_WITHDRAWN_SERIALS: Final = 10_000
"""Serial numbers in one parcel delivery deauthorization."""

MAX_SERIAL_SIZE: Final = 20
"""Octets of a certificate's serial number (rules §1)."""
