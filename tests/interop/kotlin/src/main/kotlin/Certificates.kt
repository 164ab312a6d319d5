// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.issueDeliveryAuthorization
import tech.relaycorp.relaynet.issueEndpointCertificate
import tech.relaycorp.relaynet.issueGatewayCertificate
import tech.relaycorp.relaynet.wrappers.deserializeRSAKeyPair
import tech.relaycorp.relaynet.wrappers.deserializeRSAPublicKey

/** A certificate; making issues one for a `role`, self-issued without `issuerCertificate`. */
private object CertificateKind : Kind {
    override fun read(octets: ByteArray, request: Values): Any {
        val read = certificate(octets)
        return mapOf(
            "name" to read.commonName,
            "issuerName" to read.issuerCommonName,
            "subjectId" to read.subjectId,
            "publicKey" to read.subjectPublicKey.encoded,
            "notBefore" to read.startDate,
            "notAfter" to read.expiryDate,
        )
    }

    override fun make(request: Values): Map<String, Any?> {
        val subject = request.octets("subjectPublicKey").deserializeRSAPublicKey()
        val key = request.octets("issuerPrivateKey").deserializeRSAKeyPair().private
        val issuer = request.octetsOrNull("issuerCertificate")?.let(::certificate)
        val (from, to) = request.date("notBefore") to request.date("notAfter")
        val made =
            when (val role = request.text("role")) {
                "gateway" -> issueGatewayCertificate(subject, key, to, issuer, from)
                "endpoint" -> issueEndpointCertificate(subject, key, to, issuer, from)
                "deliveryAuthorization" -> issueDeliveryAuthorization(subject, key, to, requireNotNull(issuer), from)
                else -> throw NoSuchElementException("there is no role $role")
            }
        return mapOf("octets" to made.serialize())
    }
}

val certificateKinds: Map<String, Kind> = mapOf("certificate" to CertificateKind)
