// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.HashingAlgorithm
import tech.relaycorp.relaynet.SessionKeyPair
import tech.relaycorp.relaynet.SymmetricCipher
import tech.relaycorp.relaynet.messages.Cargo
import tech.relaycorp.relaynet.messages.CargoCollectionAuthorization
import tech.relaycorp.relaynet.messages.Parcel
import tech.relaycorp.relaynet.messages.Recipient
import tech.relaycorp.relaynet.messages.payloads.EncryptedPayload
import tech.relaycorp.relaynet.ramf.EncryptedRAMFMessage
import tech.relaycorp.relaynet.wrappers.deserializeRSAKeyPair
import tech.relaycorp.relaynet.wrappers.x509.Certificate
import java.time.ZonedDateTime

private typealias Constructor<M> =
    (Recipient, ByteArray, Certificate, String?, ZonedDateTime?, Int?, Set<Certificate>?) -> M

/**
 * A RAMF message. Reading validates if `trusted` is there (null: dates alone) and decrypts if `sessionPrivateKey`
 * is. Making encrypts `payload`, a plaintext as its kind describes it, or takes `payloadOctets` as they are.
 */
private class MessageKind<P : EncryptedPayload, M : EncryptedRAMFMessage<P>>(
    private val parse: (ByteArray) -> M,
    private val create: Constructor<M>,
    private val plaintext: PlainKind<P>,
) : Kind {
    override fun read(octets: ByteArray, request: Values): Any {
        val message = parse(octets)
        val path = if ("trusted" in request) validate(message, request) else null
        return mapOf(
            "chain" to message.senderCertificateChain.map { it.serialize() },
            "creationDate" to message.creationDate,
            "messageId" to message.id,
            "path" to path,
            "recipientCertificate" to message.recipientCertificate?.serialize(),
            "recipient" to mapOf("id" to message.recipient.id, "internetAddress" to message.recipient.internetAddress),
            "sender" to message.senderCertificate.serialize(),
            "ttl" to message.ttl,
        ) + contents(message, request.octetsOrNull("sessionPrivateKey"))
    }

    private fun validate(message: M, request: Values): List<ByteArray>? {
        if (request.isNull("trusted")) {
            message.validate()
            return null
        }
        val trusted = certificates(request.listOfOctets("trusted"))
        message.validate(trusted)
        return message.getSenderCertificationPath(trusted).map { it.serialize() }
    }

    private fun contents(message: M, sessionPrivateKey: ByteArray?): Map<String, Any?> {
        if (sessionPrivateKey == null) {
            return mapOf("payloadOctets" to message.payload)
        }
        val (payload, originator) = message.unwrapPayload(sessionPrivateKey(sessionPrivateKey))
        return mapOf(
            "payloadOctets" to null,
            "payload" to plaintext.describe(payload),
            "senderSessionKey" to describe(originator),
        )
    }

    override fun make(request: Values): Map<String, Any?> {
        val sealed = request.octetsOrNull("payloadOctets")?.let { mapOf("octets" to it) } ?: seal(request)
        val recipient = request.part("recipient")
        val message =
            create(
                Recipient(recipient.text("id"), recipient.textOrNull("internetAddress")),
                sealed["octets"] as ByteArray,
                certificate(request.octets("certificate")),
                request.textOrNull("messageId"),
                request.date("creationDate"),
                request.int("ttl"),
                if ("chain" in request) certificates(request.listOfOctets("chain")).toSet() else null,
            )
        val octets = message.serialize(request.octets("privateKey").deserializeRSAKeyPair().private)
        return sealed + mapOf("messageId" to message.id, "octets" to octets)
    }

    private fun seal(request: Values): Map<String, Any?> = seal(plaintext.build(request.part("payload")), request)
}

/** Encrypt to `sessionKey`, with `cipher` and `hash` as the library names them. */
private fun seal(payload: EncryptedPayload, request: Values): Map<String, Any?> {
    val originator = SessionKeyPair.generate()
    val octets =
        payload.encrypt(
            sessionKey(request.part("sessionKey")),
            originator,
            request.textOrNull("cipher")?.let(SymmetricCipher::valueOf) ?: SymmetricCipher.AES_128,
            request.textOrNull("hash")?.let(HashingAlgorithm::valueOf) ?: HashingAlgorithm.SHA256,
        )
    return mapOf(
        "octets" to octets,
        "originatorKeyId" to originator.sessionKey.keyId,
        "originatorPrivateKey" to originator.privateKey.encoded,
    )
}

/** An envelope by itself, around any octets to make and around a service message to read: no other way is public. */
private object Envelope : Kind {
    private class Octets(private val octets: ByteArray) : EncryptedPayload() {
        override fun serializePlaintext() = octets
    }

    override fun read(octets: ByteArray, request: Values): Any {
        val anybody = certificate(request.octets("certificate"))
        val (message, originator) =
            Parcel(Recipient(anybody.subjectId), octets, anybody)
                .unwrapPayload(sessionPrivateKey(request.octets("sessionPrivateKey")))
        return mapOf("payload" to serviceMessage.describe(message), "originatorKey" to describe(originator))
    }

    override fun make(request: Values) = seal(Octets(request.octets("plaintext")), request)
}

val messages: Map<String, Kind> =
    mapOf(
        "parcel" to MessageKind(Parcel::deserialize, ::Parcel, serviceMessage),
        "cargo" to MessageKind(Cargo::deserialize, ::Cargo, cargoMessageSet),
        "cca" to
            MessageKind(
                CargoCollectionAuthorization::deserialize,
                ::CargoCollectionAuthorization,
                cargoCollectionRequest,
            ),
        "envelope" to Envelope,
    )
