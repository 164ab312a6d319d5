# SPDX-License-Identifier: MIT
"""Large inputs made to cost memory or time, and what they cost: ``python -m fuzz.large [NAME]…``.

Prints for each input its name, its octets, the octets of memory above it, and the seconds. Each is
read in a process of its own, forked when nothing else has been read, because memory that was freed
would be used again and hide what is taken.
"""

from __future__ import annotations

import json
import os
import sys
import time
from base64 import encodebytes
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from awala.asn1 import der, parse
from awala.base.errors import AwalaError
from awala.cms import EnvelopedData, SignedData, encrypt, sign
from awala.crypto import ContentCipher, SessionKeyPair
from awala.messages import (
    CargoMessageSet,
    HandshakeResponse,
    MessageType,
    Parcel,
    ParcelDeliveryDeauthorization,
    ServiceMessage,
    limits,
)
from awala.messages.inspection import inspect
from awala.pki import CertificationPath
from helpers.cast import chain, identity_key, session_key_pair
from helpers.vectors import AT, vector

MIB = 1024 * 1024
LARGEST = limits.MAX_RAMF_SIZE
END = b"\0\0"
CONSTRUCTED_OCTETS = 0x24
DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
PREFIX = Parcel.TYPE.prefix
RECIPIENT = session_key_pair("js")


class Large(NamedTuple):
    """What is read, and how it is made."""

    read: Callable[[bytes], object]
    make: Callable[[], bytes]


class Cost(NamedTuple):
    """What reading took."""

    octets: int
    memory: int
    seconds: float


def filled(unit: bytes, octets: int = LARGEST - 64) -> bytes:
    """Return ``unit`` over and over."""
    return unit * (octets // len(unit))


def signed(content: bytes) -> bytes:
    """Return a parcel with this content, signed by somebody whom nobody has reason to distrust."""
    certificates = chain("js")
    return sign(
        content,
        key=identity_key("js", "peer"),
        signer=certificates[0],
        certificates=certificates[1:3],
        prefix=PREFIX,
    )


def in_segments(segment: bytes, count: int) -> bytes:
    """Return signed data whose content comes in segments."""
    content = der.tlv(CONSTRUCTED_OCTETS, filled(segment, count * len(segment)))
    encapsulated = der.sequence(der.oid(DATA), der.explicit(0, content))
    signed_data = parse(vector("js", "parcel")[7:]).children()[1].children()[0]
    fields = [bytes(field.encoding) for field in signed_data.children()]
    body = der.sequence(*fields[:2], encapsulated, *fields[3:])
    return der.sequence(der.oid(SIGNED_DATA), der.explicit(0, body))


def fields_of_a_parcel(payload: bytes, behind: bytes = b"") -> bytes:
    recipient = der.implicit(0, der.implicit(0, b"0abab"), constructed=True)
    return der.sequence(
        recipient,
        der.implicit(1, b"id"),
        der.implicit(2, b"20261121005500"),
        der.implicit(3, b"\x01\x2c"),
        der.implicit(4, payload),
        behind,
    )


def enveloped(octets: int, cipher: ContentCipher) -> bytes:
    return encrypt(
        bytes(octets),
        recipient=RECIPIENT.session_key,
        originator=SessionKeyPair.generate(),
        content_cipher=cipher,
    )


def opened(octets: bytes) -> int:
    return len(EnvelopedData.parse(Parcel.parse(octets).payload).decrypt(RECIPIENT.private_key))


def explained(octets: bytes) -> object:
    return inspect(octets, at=AT)


def explained_with_key(octets: bytes) -> object:
    return inspect(octets, keys=[vector("js", "sk.pkcs8.der")], anchors=[chain("js")[-1]], at=AT)


HALF = LARGEST // 2
EMPTY_FIELD = b"\x85\x00"
EMPTY_ITEM = b"\x04\x00"

LARGE: dict[str, Large] = {
    "zeros": Large(Parcel.parse, lambda: PREFIX + bytes(LARGEST - 64)),
    "nested-indefinite": Large(Parcel.parse, lambda: PREFIX + filled(b"\x30\x80")),
    "nested-indefinite-closed": Large(
        Parcel.parse, lambda: PREFIX + filled(b"\x30\x80", HALF) + filled(END, HALF - 64)
    ),
    "indefinite-side-by-side": Large(
        SignedData.parse, lambda: b"\x30\x80" + filled(b"\x30\x80\0\0", LARGEST - 64) + END
    ),
    "elements-in-the-envelope": Large(SignedData.parse, lambda: der.sequence(filled(EMPTY_ITEM))),
    "empty-segments": Large(SignedData.parse, lambda: in_segments(EMPTY_ITEM, 260_000)),
    "most-empty-segments": Large(SignedData.parse, lambda: in_segments(EMPTY_ITEM, 4_000_000)),
    "small-segments": Large(SignedData.parse, lambda: in_segments(b"\x04\x22" + bytes(34), 260_000)),
    "parcel-in-full": Large(
        opened, lambda: signed(fields_of_a_parcel(enveloped(8_256_000, ContentCipher.AES_128_CBC)))
    ),
    "parcel-in-full-gcm": Large(
        opened, lambda: signed(fields_of_a_parcel(enveloped(8_256_000, ContentCipher.AES_256_GCM)))
    ),
    "parcel-with-many-fields": Large(
        Parcel.parse,
        lambda: signed(fields_of_a_parcel(bytes(7_700_000), filled(EMPTY_FIELD, 2 * 260_000))),
    ),
    "parcel-explained": Large(
        explained_with_key,
        lambda: signed(
            fields_of_a_parcel(
                encrypt(
                    ServiceMessage("a/b", bytes(8_000_000)).serialize(),
                    recipient=RECIPIENT.session_key,
                    originator=SessionKeyPair.generate(),
                )
            )
        ),
    ),
    "cargo-set-of-empty-items": Large(CargoMessageSet.parse, lambda: der.sequence(filled(EMPTY_ITEM))),
    "cargo-set-of-too-many-items": Large(
        CargoMessageSet.parse, lambda: der.sequence(filled(EMPTY_ITEM, 2 * 260_000))
    ),
    "cargo-set-of-most-items": Large(
        CargoMessageSet.parse, lambda: der.sequence(filled(der.octet_string(bytes(80)), 82 * 100_000))
    ),
    "cargo-set-of-most-items-explained": Large(
        explained, lambda: der.sequence(filled(der.octet_string(bytes(80)), 82 * 100_000))
    ),
    "service-message-with-many-fields": Large(
        ServiceMessage.parse,
        lambda: der.sequence(
            der.implicit(0, b"a/b"), der.implicit(1, bytes(MIB)), filled(EMPTY_FIELD, 2 * 260_000)
        ),
    ),
    "withdrawal-of-many-serials": Large(
        ParcelDeliveryDeauthorization.parse,
        lambda: (
            MessageType.PDD.prefix
            + der.sequence(
                der.implicit(0, b"0a"),
                der.implicit(1, filled(b"\x02\x01\x01", 3 * 260_000), constructed=True),
                der.implicit(2, b"20261121005500"),
            )
        ),
    ),
    "response-of-many-signatures": Large(
        HandshakeResponse.parse,
        lambda: der.sequence(der.implicit(0, filled(b"\x04\x01x", 3 * 260_000), constructed=True)),
    ),
    "path-of-many-authorities": Large(
        CertificationPath.parse,
        lambda: der.sequence(der.implicit(0, b""), der.explicit(1, filled(EMPTY_ITEM, 2 * 260_000))),
    ),
    "structures-inside-structures-explained": Large(
        explained,
        lambda: der.sequence(
            der.implicit(0, der.sequence(filled(EMPTY_ITEM, 2 * 260_000))),
            filled(EMPTY_FIELD, 2 * 250_000),
        ),
    ),
    "armour-of-short-lines": Large(
        explained, lambda: b"-----BEGIN X-----\n" + filled(b"A ") + b"-----END X-----\n"
    ),
    "armour-without-end": Large(explained, lambda: b"-----BEGIN X-----\n" + filled(b"A\n")),
    "armour-behind-spaces": Large(explained, lambda: filled(b" \n") + b"-----BEGIN "),
    "armoured": Large(
        explained,
        lambda: (
            b"-----BEGIN X-----\n"
            + encodebytes(der.sequence(der.octet_string(bytes(6 * MIB))))
            + b"-----END X-----\n"
        ),
    ),
}


def cost(large: Large) -> Cost:
    """Read a large input in a process of its own, and return what it took."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(there, json.dumps(measure(large)).encode())
        finally:
            os._exit(0)
    os.close(there)
    with os.fdopen(here, "rb") as stream:
        written = stream.read()
    os.waitpid(child, 0)
    if not written:
        raise RuntimeError("reading ended in an error that is none of ours")
    return Cost(*json.loads(written))


def measure(large: Large) -> Cost:
    octets = large.make()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    begin = time.perf_counter()
    with suppress(AwalaError):
        large.read(octets)
    seconds = time.perf_counter() - begin
    return Cost(len(octets), resident("VmHWM") - before, seconds)


def resident(name: str) -> int:
    """Return how many octets of memory this process has, or had at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def main(names: list[str]) -> None:
    for name in names or LARGE:
        sys.stdout.write(json.dumps({"name": name, **cost(LARGE[name])._asdict()}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
