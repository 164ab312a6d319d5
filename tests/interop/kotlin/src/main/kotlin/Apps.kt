// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.PrivateEndpointConnParams
import tech.relaycorp.relaynet.bindings.pdc.Signer
import tech.relaycorp.relaynet.issueDeliveryAuthorization
import tech.relaycorp.relaynet.messages.Parcel
import tech.relaycorp.relaynet.messages.Recipient
import tech.relaycorp.relaynet.messages.control.PrivateNodeRegistration
import tech.relaycorp.relaynet.messages.payloads.ServiceMessage
import tech.relaycorp.relaynet.nodes.EndpointManager
import tech.relaycorp.relaynet.pki.CertificationPath
import tech.relaycorp.relaynet.wrappers.deserializeRSAPublicKey
import tech.relaycorp.relaynet.wrappers.generateRSAKeyPair
import tech.relaycorp.relaynet.wrappers.nodeId
import java.security.PublicKey
import java.time.ZonedDateTime
import java.util.concurrent.CopyOnWriteArrayList

private const val DAY_SECONDS = 24 * 3600
private const val PDA_PATH = "application/vnd+relaycorp.awala.pda-path"

private fun fromHex(text: String) = text.chunked(2).map { it.toInt(16).toByte() }.toByteArray()

/** An app made of what the library has for endpoints, and of the PoWeb client. Keys are in memory. */
private class App {
    val identity = generateRSAKeyPair()
    val id = identity.public.nodeId
    private val privateKeys = PrivateKeysInMemory()
    private val publicKeys = PublicKeysInMemory()
    private val endpoint = EndpointManager(privateKeys, publicKeys)
    private val channels = mutableMapOf<String, PrivateEndpointConnParams>()
    private lateinit var door: Door
    private lateinit var registration: PrivateNodeRegistration

    private val signer get() = Signer(registration.privateNodeCertificate, identity.private)

    /** Register at the door of a private gateway, or renew. */
    suspend fun register(door: Door) {
        this.door = door
        registration = door.register(identity)
    }

    /** Let a peer write to this app; return the connection parameters that tell it how. */
    suspend fun allow(peerKey: PublicKey): ByteArray {
        val certificate = registration.privateNodeCertificate
        val authorization =
            issueDeliveryAuthorization(peerKey, identity.private, certificate.expiryDate, certificate, certificate.startDate)
        val path = CertificationPath(authorization, listOf(certificate, registration.gatewayCertificate))
        val sessionKey = endpoint.generateSessionKeyPair(id, peerKey.nodeId).sessionKey
        return PrivateEndpointConnParams(identity.public, registration.gatewayInternetAddress, path, sessionKey).serialize()
    }

    /** Learn from connection parameters how to write to who made them, as if that was `secondsAgo`. */
    suspend fun learn(octets: ByteArray, secondsAgo: Int): String {
        val params = PrivateEndpointConnParams.deserialize(octets)
        val peerId = params.identityKey.nodeId
        params.deliveryAuth.validate()
        channels[peerId] = params
        publicKeys.delete(id, peerId)
        publicKeys.save(params.sessionKey, id, peerId, ZonedDateTime.now().minusSeconds(secondsAgo.toLong()))
        return peerId
    }

    /** Send a message; tell its id, and the session keys of it. */
    suspend fun send(to: String, message: ServiceMessage): Map<String, Any?> {
        val params = channels.getValue(to)
        val recipientKeyId = publicKeys.retrieve(id, to).keyId
        val parcel =
            Parcel(
                Recipient(to, params.internetGatewayAddress),
                endpoint.wrapMessagePayload(message, to, id),
                params.deliveryAuth.leafCertificate,
                ttl = DAY_SECONDS,
                senderCertificateChain = params.deliveryAuth.certificateAuthorities.toSet(),
            )
        val senderKeyId = fromHex(privateKeys.made)
        door.deliver(parcel.serialize(identity.private), signer)
        return mapOf("messageId" to parcel.id, "recipientKeyId" to recipientKeyId, "senderKeyId" to senderKeyId)
    }

    /** Return what has come, all of it opened; authorisations among it are learnt. */
    suspend fun receive(secondsAgo: Int): List<Map<String, Any?>> {
        val messages = mutableListOf<Map<String, Any?>>()
        door.collect(signer) { messages.add(open(Parcel.deserialize(it), secondsAgo)) }
        return messages
    }

    private suspend fun open(parcel: Parcel, secondsAgo: Int): Map<String, Any?> {
        parcel.validate(listOf(registration.privateNodeCertificate))
        val message = endpoint.unwrapMessagePayload(parcel)
        val recipientKeyId = fromHex(privateKeys.asked)
        val senderKeyId = parcel.unwrapPayload(privateKeys).peerSessionKey.keyId
        if (message.type == PDA_PATH) {
            learn(message.content, secondsAgo)
        }
        return mapOf(
            "content" to message.content,
            "messageId" to parcel.id,
            "senderId" to parcel.senderCertificate.subjectId,
            "type" to message.type,
            "recipientKeyId" to recipientKeyId,
            "senderKeyId" to senderKeyId,
        )
    }
}

private val apps = CopyOnWriteArrayList<App>()

private fun app(request: Values) = apps[request.int("app")]

private fun openApp(): Any {
    val app = App()
    apps.add(app)
    return mapOf("app" to apps.indexOf(app), "id" to app.id, "publicKey" to app.identity.public.encoded)
}

val appOperations: Map<String, Operation> =
    mapOf(
        "openApp" to { openApp() },
        "registerApp" to { app(it).register(PoWebDoor(it.part("door"))) },
        "registerAppAt" to { app(it).register(gateway(it).doorForApps) },
        "allow" to { app(it).allow(it.octets("publicKey").deserializeRSAPublicKey()) },
        "learn" to { app(it).learn(it.octets("params"), it.int("secondsAgo")) },
        "send" to { app(it).send(it.text("to"), ServiceMessage(it.text("type"), it.octets("content"))) },
        "receive" to { app(it).receive(it.int("secondsAgo")) },
    )
