// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.SessionKey
import tech.relaycorp.relaynet.bindings.pdc.Signer
import tech.relaycorp.relaynet.wrappers.deserializeECKeyPair
import tech.relaycorp.relaynet.wrappers.deserializeECPublicKey
import tech.relaycorp.relaynet.wrappers.deserializeRSAKeyPair
import tech.relaycorp.relaynet.wrappers.x509.Certificate
import java.security.PrivateKey

// Keys and certificates, which all kinds share. Keys are DER: PKCS#8 or SubjectPublicKeyInfo.

fun certificate(octets: ByteArray): Certificate = Certificate.deserialize(octets)

fun certificates(octets: List<ByteArray>): List<Certificate> = octets.map(::certificate)

fun sessionKey(described: Values) =
    SessionKey(described.octets("keyId"), described.octets("publicKey").deserializeECPublicKey())

fun sessionPrivateKey(octets: ByteArray): PrivateKey = octets.deserializeECKeyPair().private

fun describe(key: SessionKey): Map<String, Any?> =
    mapOf("keyId" to key.keyId, "publicKey" to key.publicKey.encoded)

/** Return who signs, from `privateKey` and `certificate`. */
fun signer(described: Values) =
    Signer(
        certificate(described.octets("certificate")),
        described.octets("privateKey").deserializeRSAKeyPair().private,
    )
