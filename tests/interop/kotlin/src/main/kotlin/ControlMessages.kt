// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.messages.CertificateRotation
import tech.relaycorp.relaynet.messages.ParcelCollectionAck
import tech.relaycorp.relaynet.pki.CertificationPath

fun describe(path: CertificationPath): Map<String, Any?> =
    mapOf(
        "leaf" to path.leafCertificate.serialize(),
        "authorities" to path.certificateAuthorities.map { it.serialize() },
    )

fun certificationPath(described: Values) =
    CertificationPath(certificate(described.octets("leaf")), certificates(described.listOfOctets("authorities")))

val controlMessages: Map<String, Kind> =
    mapOf(
        "parcelCollectionAck" to
            PlainKind(
                ParcelCollectionAck::deserialize,
                ParcelCollectionAck::serialize,
                {
                    mapOf(
                        "senderId" to it.senderEndpointId,
                        "recipientId" to it.recipientEndpointId,
                        "parcelId" to it.parcelId,
                    )
                },
                { ParcelCollectionAck(it.text("senderId"), it.text("recipientId"), it.text("parcelId")) },
            ),
        "certificationPath" to
            PlainKind(CertificationPath::deserialize, CertificationPath::serialize, ::describe, ::certificationPath),
        "certificateRotation" to
            PlainKind(
                CertificateRotation::deserialize,
                CertificateRotation::serialize,
                { describe(it.certificationPath) },
                { CertificateRotation(certificationPath(it)) },
            ),
    )
