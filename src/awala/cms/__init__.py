# SPDX-License-Identifier: MIT
"""Signed and enveloped data as Awala uses them: one signer, one recipient."""

from awala.cms.caches import clear_caches
from awala.cms.encrypting import encrypt
from awala.cms.enveloped_data import EnvelopedData
from awala.cms.errors import CmsDecryptionError, CmsError, CmsSignatureError
from awala.cms.signed_data import SignedData
from awala.cms.signing import sign

__all__ = [
    "CmsDecryptionError",
    "CmsError",
    "CmsSignatureError",
    "EnvelopedData",
    "SignedData",
    "clear_caches",
    "encrypt",
    "sign",
]
