// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.bindings.pdc.DetachedSignatureType
import tech.relaycorp.relaynet.messages.control.HandshakeChallenge
import tech.relaycorp.relaynet.messages.control.HandshakeResponse
import tech.relaycorp.relaynet.messages.control.ParcelDelivery

/** A signature apart from what it covers, `signed`. */
private class DetachedSignature(private val type: DetachedSignatureType) : Kind {
    override fun read(octets: ByteArray, request: Values): Any {
        val signer = type.verify(octets, request.octets("signed"), certificates(request.listOfOctets("trusted")))
        return mapOf("signer" to signer.serialize())
    }

    override fun make(request: Values) = mapOf("octets" to signer(request).sign(request.octets("signed"), type))
}

val collections: Map<String, Kind> =
    mapOf(
        "handshakeChallenge" to
            PlainKind(
                HandshakeChallenge::deserialize,
                HandshakeChallenge::serialize,
                { mapOf("nonce" to it.nonce) },
                { HandshakeChallenge(it.octets("nonce")) },
            ),
        "handshakeResponse" to
            PlainKind(
                HandshakeResponse::deserialize,
                HandshakeResponse::serialize,
                { mapOf("signatures" to it.nonceSignatures) },
                { HandshakeResponse(it.listOfOctets("signatures")) },
            ),
        "parcelDelivery" to
            PlainKind(
                ParcelDelivery::deserialize,
                ParcelDelivery::serialize,
                { mapOf("deliveryId" to it.deliveryId, "parcel" to it.parcelSerialized) },
                { ParcelDelivery(it.text("deliveryId"), it.octets("parcel")) },
            ),
        "nonceSignature" to DetachedSignature(DetachedSignatureType.NONCE),
        "deliverySignature" to DetachedSignature(DetachedSignatureType.PARCEL_DELIVERY),
    )
