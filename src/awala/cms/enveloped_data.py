# SPDX-License-Identifier: MIT
"""Reads and decrypts enveloped data of either deployed stack (RFC 5652 §6, RFC 5753, rules §1)."""

from __future__ import annotations

from typing import Final, NamedTuple

from awala.asn1 import Asn1Error, Element, Octets, der, values
from awala.cms.content_info import CONTEXT_0, CONTEXT_1, DATA, ENVELOPED_DATA, only, unwrap
from awala.cms.encrypting import AGREEMENT_SCHEMES, ORIGINATOR_KEY_ID, shared_info, wrap_algorithm
from awala.cms.errors import CmsDecryptionError, CmsError
from awala.cms.usual_envelope import (
    UsualRecipient,
    usual_cipher,
    usual_originator_key_id,
    usual_recipient,
)
from awala.crypto import (
    ContentCipher,
    CryptoError,
    HashAlgorithm,
    IdentityPrivateKey,
    KeyWrap,
    SessionKey,
    SessionPrivateKey,
    SessionPublicKey,
    decrypt_content,
    derive_key,
    unwrap_key,
)

MAX_KEY_ID_OCTETS: Final = 256
"""The longest id of a session key that is read; deployed peers use eight octets."""

MAX_ATTRIBUTES: Final = 32
"""How many unprotected attributes an envelope may have; deployed peers have one."""

_GCM_TAG_OCTETS: Final = 16
_CONSTRUCTED: Final = 0x20
_CONTENT: Final = 0x80
_CIPHERS: Final = {der.oid(cipher.dotted): cipher for cipher in ContentCipher}
_KEY_ENCRYPTION: Final = {
    der.sequence(scheme, algorithm): (hash_algorithm, key_wrap, algorithm)
    for hash_algorithm, scheme in AGREEMENT_SCHEMES.items()
    for key_wrap in KeyWrap
    for algorithm in (wrap_algorithm(key_wrap), der.sequence(der.oid(key_wrap.dotted), der.null()))
}


def _oaep_identifiers() -> frozenset[bytes]:
    """RSAES-OAEP with SHA-256 for hash and mask and no label, the hash with or without NULL."""
    oaep = der.oid("1.2.840.113549.1.1.7")
    mgf1 = der.oid("1.2.840.113549.1.1.8")
    hashes = (HashAlgorithm.SHA256.identifier, HashAlgorithm.SHA256.identifier_with_null)
    return frozenset(
        der.sequence(oaep, der.sequence(der.explicit(0, digest), der.explicit(1, der.sequence(mgf1, digest))))
        for digest in hashes
    )


_OAEP: Final = _oaep_identifiers()


class _Agreement(NamedTuple):
    """How the content key reaches the holder of a session key (KeyAgreeRecipientInfo)."""

    recipient_key_id: bytes
    originator_key: SessionKey
    kdf_hash: HashAlgorithm
    key_wrap: KeyWrap
    wrap_algorithm: bytes
    ukm: bytes | None
    wrapped_key: bytes

    def content_key(self, key: SessionPrivateKey) -> bytes:
        secret = key.exchange(self.originator_key.public_key)
        shared = shared_info(self.wrap_algorithm, self.ukm, self.key_wrap)
        wrapping_key = derive_key(secret, shared, self.key_wrap.key_octets, self.kdf_hash)
        return unwrap_key(wrapping_key, self.wrapped_key)


class EnvelopedData:
    """Data enveloped for one recipient.

    The session form, to a session key, is the only one that messages may use. The sessionless form,
    to an identity key, is read as well, since old libraries still make it.
    """

    __slots__ = ("_agreement", "_ciphertext", "_nonce", "_transported_key", "content_cipher")

    content_cipher: ContentCipher
    """What the content is encrypted with."""

    def __init__(self, fields: list[Element]) -> None:
        _version, *rest = fields
        if rest[0].identifier == CONTEXT_0:  # certificates of the originator, which mean nothing to us
            rest.pop(0)
        recipients, encrypted, *others = rest
        self._read_content(encrypted)
        self._agreement: _Agreement | None = None
        self._transported_key = b""
        usual = usual_recipient(bytes(recipients.encoding))
        if usual is not None:
            self._agreement = _usual_agreement(usual, _originator_key_id(others))
            return
        recipient = only(recipients.expect(der.SET, "the recipients"))
        if recipient.identifier == CONTEXT_1:
            self._agreement = _agreement(recipient, _originator_key_id(others))
        else:
            self._transported_key = _transported_key(recipient)

    @classmethod
    def parse(cls, data: Octets) -> EnvelopedData:
        """Read a ContentInfo with enveloped data; octets behind it are ignored.

        Raises `CmsError` if it is malformed, uses an algorithm or a curve that is not allowed, or has
        not exactly one recipient.
        """
        try:
            return cls(unwrap(data, ENVELOPED_DATA))
        except (Asn1Error, CryptoError) as error:
            raise CmsError(f"enveloped data is malformed: {error}") from None
        except (ValueError, IndexError):  # fewer or more fields than what is to be taken from a list
            raise CmsError("enveloped data has parts missing") from None

    @property
    def is_session(self) -> bool:
        """Whether it is enveloped for a session key, as messages have to be."""
        return self._agreement is not None

    @property
    def recipient_key_id(self) -> bytes:
        """The id of the session key that opens it; raises `CmsError` in the sessionless form."""
        return self._session().recipient_key_id

    @property
    def originator_key(self) -> SessionKey:
        """The sender's session key, to answer with; raises `CmsError` in the sessionless form."""
        return self._session().originator_key

    @property
    def kdf_hash(self) -> HashAlgorithm:
        """The hash function of the key derivation; raises `CmsError` in the sessionless form."""
        return self._session().kdf_hash

    @property
    def key_wrap(self) -> KeyWrap:
        """What the content key is wrapped with; raises `CmsError` in the sessionless form."""
        return self._session().key_wrap

    def decrypt(self, key: SessionPrivateKey) -> bytes:
        """Return what was enveloped for a session key.

        Raises `CmsDecryptionError`, which is the same whatever was wrong, and `CmsError` in the
        sessionless form.
        """
        agreement = self._session()
        try:
            content_key = agreement.content_key(key)
            return decrypt_content(self.content_cipher, content_key, self._nonce, self._ciphertext)
        except (CryptoError, ValueError):  # pyca refuses a shared secret of zero with ValueError
            raise CmsDecryptionError from None

    def decrypt_sessionless(self, key: IdentityPrivateKey) -> bytes:
        """Return what was enveloped for an identity key.

        Raises `CmsDecryptionError`, which is the same whatever was wrong, and `CmsError` in the
        session form.
        """
        if self._agreement is not None:
            raise CmsError("the data is enveloped for a session key")
        try:
            content_key = key.decrypt_oaep(self._transported_key)
            return decrypt_content(self.content_cipher, content_key, self._nonce, self._ciphertext)
        except CryptoError:
            raise CmsDecryptionError from None

    def _session(self) -> _Agreement:
        if self._agreement is None:
            raise CmsError("the data is not enveloped for a session key")
        return self._agreement

    def _read_content(self, encrypted: Element) -> None:
        content_type, algorithm, content = encrypted.expect(der.SEQUENCE, "the encrypted content").children()
        if content_type.encoding != DATA:
            raise CmsError("enveloped data holds something else than plain data")
        if content.identifier & ~_CONSTRUCTED != _CONTENT:
            raise CmsError("the encrypted content is no octet string")
        self.content_cipher, self._nonce = usual_cipher(bytes(algorithm.encoding)) or _cipher(algorithm)
        self._ciphertext = content.buffer()


def _cipher(algorithm: Element) -> tuple[ContentCipher, bytes]:
    name, parameters = algorithm.expect(der.SEQUENCE, "the cipher").children()
    cipher = _CIPHERS.get(bytes(name.encoding))
    if cipher is None:
        raise CmsError("enveloped data uses a cipher that is not allowed")
    return cipher, _nonce(cipher, parameters)


def _nonce(cipher: ContentCipher, parameters: Element) -> bytes:
    if cipher.is_gcm:
        field, tag_octets = parameters.expect(der.SEQUENCE, "the parameters of GCM").children()
        if values.integer(tag_octets) != _GCM_TAG_OCTETS:
            raise CmsError(f"the tag of GCM has not {_GCM_TAG_OCTETS} octets")
        parameters = field
    nonce = values.octet_string(parameters)
    if len(nonce) != cipher.nonce_octets:
        raise CmsError("the nonce does not fit the cipher")
    return nonce


def _agreement(recipient: Element, originator_key_id: bytes) -> _Agreement:
    _version, originator, *rest = recipient.children()
    ukm = None
    if rest[0].identifier == CONTEXT_1:
        ukm = values.octet_string(only(rest.pop(0)))
    key_encryption, encrypted_keys = rest
    kdf_hash, key_wrap, algorithm = _scheme(bytes(key_encryption.encoding))
    recipient_key_id, wrapped_key = _encrypted_key(encrypted_keys)
    return _Agreement(
        recipient_key_id=recipient_key_id,
        originator_key=SessionKey(originator_key_id, _originator_key(originator)),
        kdf_hash=kdf_hash,
        key_wrap=key_wrap,
        wrap_algorithm=algorithm,
        ukm=ukm,
        wrapped_key=wrapped_key,
    )


def _usual_agreement(usual: UsualRecipient, originator_key_id: bytes) -> _Agreement:
    kdf_hash, key_wrap, algorithm = _scheme(usual.key_encryption)
    public_key = SessionPublicKey.from_point(usual.originator_algorithm, usual.originator_point)
    return _Agreement(
        recipient_key_id=usual.recipient_key_id,
        originator_key=SessionKey(originator_key_id, public_key),
        kdf_hash=kdf_hash,
        key_wrap=key_wrap,
        wrap_algorithm=algorithm,
        ukm=usual.ukm,
        wrapped_key=usual.wrapped_key,
    )


def _scheme(key_encryption: bytes) -> tuple[HashAlgorithm, KeyWrap, bytes]:
    known = _KEY_ENCRYPTION.get(key_encryption)
    if known is None:
        raise CmsError("enveloped data uses a key agreement that is not allowed")
    return known


def _originator_key(originator: Element) -> SessionPublicKey:
    public_key = only(originator.expect(CONTEXT_0, "the originator"))
    identifier, point = public_key.expect(CONTEXT_1, "the originator's public key").children()
    return SessionPublicKey.from_point(identifier.encoding, values.bit_string(point))


def _encrypted_key(encrypted_keys: Element) -> tuple[bytes, bytes]:
    """Return the id of the recipient's key, and the content key that is wrapped for it."""
    recipient, wrapped = only(encrypted_keys.expect(der.SEQUENCE, "the encrypted keys")).children()
    identifier = recipient.expect(CONTEXT_0, "the recipient's key identifier").children()[0]
    return _checked_key_id(values.octet_string(identifier)), values.octet_string(wrapped)


def _originator_key_id(others: list[Element]) -> bytes:
    for attributes in others:
        if attributes.identifier == CONTEXT_1:
            usual = usual_originator_key_id(bytes(attributes.encoding))
            if usual is not None:
                return usual
            found = _attribute_values(attributes)
            if len(found) == 1:
                value = only(found[0])
                # The prose of RS-003 calls it an integer: its contents octets are the id then.
                is_integer = value.identifier == der.INTEGER
                return _checked_key_id(value.octets() if is_integer else values.octet_string(value))
    raise CmsError("enveloped data does not say the id of the originator's key, or does so twice")


def _attribute_values(attributes: Element) -> list[Element]:
    listed = attributes.children()
    if len(listed) > MAX_ATTRIBUTES:
        raise CmsError(f"enveloped data has more than {MAX_ATTRIBUTES} attributes")
    found = []
    for attribute in listed:
        kind, held = attribute.expect(der.SEQUENCE, "an attribute").children()
        if kind.encoding == ORIGINATOR_KEY_ID:
            found.append(held.expect(der.SET, "the values of an attribute"))
    return found


def _checked_key_id(key_id: bytes) -> bytes:
    if len(key_id) > MAX_KEY_ID_OCTETS:
        raise CmsError(f"the id of a session key takes more than {MAX_KEY_ID_OCTETS} octets")
    return key_id


def _transported_key(recipient: Element) -> bytes:
    _version, _identifier, algorithm, encrypted = recipient.expect(der.SEQUENCE, "a recipient").children()
    if bytes(algorithm.encoding) not in _OAEP:
        raise CmsError("enveloped data uses a key transport that is not allowed")
    return values.octet_string(encrypted)
