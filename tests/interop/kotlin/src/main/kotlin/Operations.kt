// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.SessionKeyPair
import tech.relaycorp.relaynet.wrappers.generateRSAKeyPair
import tech.relaycorp.relaynet.wrappers.nodeId

typealias Operation = suspend (Values) -> Any?

/** All operations by the names of ../README.md. */
val operations: Map<String, Operation> =
    mapOf(
        "read" to { request -> kindNamed(request.text("kind")).read(request.octets("octets"), request) },
        "make" to { request -> kindNamed(request.text("kind")).make(request) },
        "makeIdentityKey" to ::makeIdentityKey,
        "makeSessionKey" to { makeSessionKey() },
        "findPath" to ::findPath,
        "register" to ::register,
        "deliverParcel" to ::deliverParcel,
        "collectParcels" to ::collectParcels,
        "openCollection" to ::openCollection,
        "collected" to ::collected,
        "deliverCargo" to ::deliverCargo,
        "collectCargo" to ::collectCargo,
        "startCargoRelay" to ::startCargoRelay,
        "stopCargoRelay" to ::stopCargoRelay,
    ) + appOperations + gatewayOperations

private suspend fun makeIdentityKey(request: Values): Any {
    val pair = generateRSAKeyPair(request.intOrNull("modulus") ?: 2048)
    return mapOf(
        "id" to pair.public.nodeId,
        "privateKey" to pair.private.encoded,
        "publicKey" to pair.public.encoded,
    )
}

private fun makeSessionKey(): Any {
    val pair = SessionKeyPair.generate()
    return describe(pair.sessionKey) + mapOf("privateKey" to pair.privateKey.encoded)
}

/** Find the path from a certificate to one of those trusted, leaf first. */
private suspend fun findPath(request: Values): Any =
    certificate(request.octets("certificate"))
        .getCertificationPath(
            certificates(request.listOfOctets("chain")),
            certificates(request.listOfOctets("trusted")),
        )
        .map { it.serialize() }
