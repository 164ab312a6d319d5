# SPDX-License-Identifier: MIT
"""The cargo: what couriers carry between gateways (RS-000, Cargo)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from awala.messages.prefix import MessageType
from awala.messages.ramf import RamfMessage


@dataclass(frozen=True, slots=True)
class Cargo(RamfMessage):
    """A cargo; its plaintext is a `CargoMessageSet` (RS-000, Cargo)."""

    TYPE: ClassVar[MessageType] = MessageType.CARGO
    NAME: ClassVar[str] = "cargo"
