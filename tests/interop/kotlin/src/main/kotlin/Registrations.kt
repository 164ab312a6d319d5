// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.messages.control.PrivateNodeRegistration
import tech.relaycorp.relaynet.messages.control.PrivateNodeRegistrationAuthorization
import tech.relaycorp.relaynet.messages.control.PrivateNodeRegistrationRequest
import tech.relaycorp.relaynet.wrappers.deserializeRSAKeyPair
import tech.relaycorp.relaynet.wrappers.deserializeRSAPublicKey

fun describe(registration: PrivateNodeRegistration): Map<String, Any?> =
    mapOf(
        "nodeCertificate" to registration.privateNodeCertificate.serialize(),
        "gatewayCertificate" to registration.gatewayCertificate.serialize(),
        "internetAddress" to registration.gatewayInternetAddress,
        "sessionKey" to registration.gatewaySessionKey?.let(::describe),
    )

private object Authorization : Kind {
    override fun read(octets: ByteArray, request: Values): Any {
        val gatewayKey = request.octets("publicKey").deserializeRSAPublicKey()
        val authorization = PrivateNodeRegistrationAuthorization.deserialize(octets, gatewayKey)
        return mapOf("expiry" to authorization.expiryDate, "gatewayData" to authorization.gatewayData)
    }

    override fun make(request: Values): Map<String, Any?> {
        val authorization =
            PrivateNodeRegistrationAuthorization(request.date("expiry"), request.octets("gatewayData"))
        return mapOf("octets" to authorization.serialize(request.octets("privateKey").deserializeRSAKeyPair().private))
    }
}

private object Request : Kind {
    override fun read(octets: ByteArray, request: Values): Any {
        val read = PrivateNodeRegistrationRequest.deserialize(octets)
        return mapOf("authorization" to read.pnraSerialized, "nodeKey" to read.privateNodePublicKey.encoded)
    }

    override fun make(request: Values): Map<String, Any?> {
        val keys = request.octets("privateKey").deserializeRSAKeyPair()
        val made = PrivateNodeRegistrationRequest(keys.public, request.octets("authorization"))
        return mapOf("octets" to made.serialize(keys.private))
    }
}

val registrations: Map<String, Kind> =
    mapOf(
        "registration" to
            PlainKind(PrivateNodeRegistration::deserialize, PrivateNodeRegistration::serialize, ::describe) {
                PrivateNodeRegistration(
                    certificate(it.octets("nodeCertificate")),
                    certificate(it.octets("gatewayCertificate")),
                    it.text("internetAddress"),
                    it.partOrNull("sessionKey")?.let(::sessionKey),
                )
            },
        "registrationAuthorization" to Authorization,
        "registrationRequest" to Request,
    )
