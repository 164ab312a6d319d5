# SPDX-License-Identifier: MIT
"""ASN.1 as Awala needs it: a tolerant BER reader with limits, and a strict DER writer."""

from awala.asn1 import der, values
from awala.asn1.errors import Asn1Error
from awala.asn1.reader import MAX_DEPTH, MAX_ELEMENTS, Element, Octets, parse

__all__ = ["MAX_DEPTH", "MAX_ELEMENTS", "Asn1Error", "Element", "Octets", "der", "parse", "values"]
