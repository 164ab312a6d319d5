// SPDX-License-Identifier: MIT

package awala.interop

import kotlinx.coroutines.flow.toList
import tech.relaycorp.cogrpc.okhttp.OkHTTPChannelBuilderProvider
import tech.relaycorp.relaynet.CargoDeliveryRequest
import tech.relaycorp.relaynet.bindings.pdc.Signer
import tech.relaycorp.relaynet.cogrpc.client.CogRPCClient
import tech.relaycorp.relaynet.issueDeliveryAuthorization
import tech.relaycorp.relaynet.issueEndpointCertificate
import tech.relaycorp.relaynet.issueGatewayCertificate
import tech.relaycorp.relaynet.messages.Cargo
import tech.relaycorp.relaynet.messages.CargoCollectionAuthorization
import tech.relaycorp.relaynet.messages.CertificateRotation
import tech.relaycorp.relaynet.messages.Parcel
import tech.relaycorp.relaynet.messages.ParcelCollectionAck
import tech.relaycorp.relaynet.messages.Recipient
import tech.relaycorp.relaynet.messages.control.PrivateNodeRegistration
import tech.relaycorp.relaynet.messages.payloads.CargoCollectionRequest
import tech.relaycorp.relaynet.messages.payloads.CargoMessage
import tech.relaycorp.relaynet.messages.payloads.CargoMessageSet
import tech.relaycorp.relaynet.nodes.GatewayManager
import tech.relaycorp.relaynet.pki.CertificationPath
import tech.relaycorp.relaynet.wrappers.generateRSAKeyPair
import tech.relaycorp.relaynet.wrappers.nodeId
import tech.relaycorp.relaynet.wrappers.x509.Certificate
import java.security.KeyPair
import java.time.ZonedDateTime
import java.util.concurrent.CopyOnWriteArrayList

private const val AUTHORIZATION_DAYS = 14L
private const val CARGO_SECONDS = 24 * 3600
private const val BACKDATED_MINUTES = 90L

/**
 * A private gateway made of what the library has for one, and of its clients, with apps of this process behind it.
 * It makes its cargo and its authorisations as the Android gateway does. Keys are in memory.
 */
class Gateway(private val uplink: Door) {
    private val identity = generateRSAKeyPair()
    val id = identity.public.nodeId
    private val publicKeys = PublicKeysInMemory()
    private val node = GatewayManager(PrivateKeysInMemory(), publicKeys)
    private lateinit var registration: PrivateNodeRegistration
    private lateinit var selfIssued: Certificate

    /** Our certificates by the Internet gateway; the one in use is the last. */
    private val certificates = mutableListOf<Certificate>()
    val rotations = mutableListOf<ByteArray>()
    val outgoing = LinkedHashMap<List<String>, ByteArray>()
    private val owed = mutableListOf<ByteArray>()
    private val taken = mutableSetOf<List<String>>()
    private val mailboxes = mutableMapOf<String, MutableList<ByteArray>>()

    val certificate get() = certificates.last()
    private val signer get() = Signer(certificate, identity.private)
    private val internetGateway get() = Recipient(registration.gatewayCertificate.subjectId, registration.gatewayInternetAddress)
    private val backdated get() = ZonedDateTime.now().minusMinutes(BACKDATED_MINUTES)

    /** Register with the Internet gateway. */
    suspend fun pair() {
        registration = uplink.register(identity)
        certificates.add(registration.privateNodeCertificate)
        publicKeys.save(registration.gatewaySessionKey!!, id, internetGateway.id)
        val end = ZonedDateTime.now().plusMonths(6)
        selfIssued = issueGatewayCertificate(identity.public, identity.private, end, validityStartDate = backdated)
    }

    // ---- for apps ----------------------------------------------------------------------------------

    val doorForApps =
        object : Door {
            override suspend fun register(identity: KeyPair) =
                PrivateNodeRegistration(
                    issueEndpointCertificate(
                        identity.public,
                        this@Gateway.identity.private,
                        certificate.expiryDate,
                        certificate,
                    ),
                    certificate,
                    registration.gatewayInternetAddress,
                )

            override suspend fun deliver(parcel: ByteArray, signer: Signer) {
                val read = Parcel.deserialize(parcel).also { it.validate() }
                outgoing[keyOf(read)] = parcel
            }

            override suspend fun collect(signer: Signer, take: suspend (ByteArray) -> Unit) {
                val mailbox = mailboxOf(signer.certificate.subjectId)
                while (mailbox.isNotEmpty()) {
                    take(mailbox.removeFirst())
                }
            }
        }

    private fun mailboxOf(id: String) = mailboxes.getOrPut(id) { mutableListOf() }

    /** Identify a parcel as an acknowledgement does. */
    private fun keyOf(parcel: Parcel) = listOf(parcel.senderCertificate.subjectId, parcel.recipient.id, parcel.id)

    /** Put a parcel that came into the mailbox of its recipient, once; return the acknowledgement of it. */
    private fun take(octets: ByteArray): ParcelCollectionAck {
        val parcel = Parcel.deserialize(octets).also { it.validate(certificates) }
        val key = keyOf(parcel)
        if (taken.add(key)) {
            mailboxOf(parcel.recipient.id).add(octets)
        }
        return ParcelCollectionAck(key[0], key[1], key[2])
    }

    // ---- on-line -----------------------------------------------------------------------------------

    /** Deliver what is to leave, and collect what has come. */
    suspend fun exchange() {
        for ((key, octets) in outgoing.toMap()) {
            uplink.deliver(octets, signer)
            outgoing.remove(key)
        }
        uplink.collect(signer) { take(it) }
    }

    // ---- by courier --------------------------------------------------------------------------------

    /** Collect from a courier what it brought, then deliver what is to leave. */
    suspend fun visit(courier: CogRPCClient) {
        val authorization = authorizeCollection()
        val cargoes = courier.collectCargo { authorization.inputStream() }.toList()
        cargoes.forEach { process(it.readBytes()) }
        val messages = owed + outgoing.values
        owed.clear()
        if (messages.isNotEmpty()) {
            val cargo = fill(messages)
            courier.deliverCargo(listOf(CargoDeliveryRequest("0") { cargo.inputStream() })).toList()
        }
    }

    private suspend fun authorizeCollection(): ByteArray {
        val end = ZonedDateTime.now().plusDays(AUTHORIZATION_DAYS)
        val gatewayKey = registration.gatewayCertificate.subjectPublicKey
        val request = CargoCollectionRequest(issueDeliveryAuthorization(gatewayKey, identity.private, end, certificate))
        val created = maxOf(backdated, selfIssued.startDate)
        return CargoCollectionAuthorization(
            internetGateway,
            node.wrapMessagePayload(request, internetGateway.id, id),
            certificate,
            creationDate = created,
            ttl = (end.toEpochSecond() - created.toEpochSecond()).toInt(),
        ).serialize(identity.private)
    }

    private suspend fun fill(messages: List<ByteArray>): ByteArray {
        val payload = node.wrapMessagePayload(CargoMessageSet(messages.toTypedArray()), internetGateway.id, id)
        val created = maxOf(backdated, selfIssued.startDate)
        return Cargo(internetGateway, payload, certificate, creationDate = created, ttl = CARGO_SECONDS)
            .serialize(identity.private)
    }

    /** Do what each message in a cargo asks for. */
    private suspend fun process(octets: ByteArray) {
        val cargo = Cargo.deserialize(octets).also { it.validate(listOf(selfIssued)) }
        for (message in node.unwrapMessagePayload(cargo).classifyMessages()) {
            when (message.type) {
                CargoMessage.Type.PARCEL -> owed.add(take(message.messageSerialized).serialize())
                CargoMessage.Type.PCA -> release(ParcelCollectionAck.deserialize(message.messageSerialized))
                CargoMessage.Type.CERTIFICATE_ROTATION ->
                    rotate(CertificateRotation.deserialize(message.messageSerialized).certificationPath)
                null -> throw IllegalArgumentException("the library does not know a message of the cargo")
            }
        }
    }

    private fun release(ack: ParcelCollectionAck) =
        outgoing.remove(listOf(ack.senderEndpointId, ack.recipientEndpointId, ack.parcelId))

    /** Take a new certificate of ours, if it ends later. */
    private fun rotate(path: CertificationPath) {
        require(path.leafCertificate.subjectId == id) { "the rotated certificate is of somebody else" }
        require(path.certificateAuthorities.first().subjectId == internetGateway.id) { "somebody else rotates" }
        if (path.leafCertificate.expiryDate > certificate.expiryDate) {
            certificates.add(path.leafCertificate)
            rotations.add(path.leafCertificate.serialize())
        }
    }
}

private val gateways = CopyOnWriteArrayList<Gateway>()

fun gateway(request: Values) = gateways[request.int("gateway")]

private suspend fun openGateway(request: Values): Any {
    val gateway = Gateway(PoWebDoor(request.part("door"))).also { it.pair() }
    gateways.add(gateway)
    return mapOf("gateway" to gateways.indexOf(gateway), "id" to gateway.id)
}

private suspend fun visit(request: Values) {
    val address = "https://${request.text("address")}"
    val courier = CogRPCClient.Builder.build(address, OkHTTPChannelBuilderProvider.Companion::makeBuilder)
    try {
        gateway(request).visit(courier)
    } finally {
        courier.close()
    }
}

private fun gatewayStatus(gateway: Gateway) =
    mapOf(
        "certificate" to gateway.certificate.serialize(),
        "leftOver" to gateway.outgoing.size,
        "rotations" to gateway.rotations,
    )

val gatewayOperations: Map<String, Operation> =
    mapOf(
        "openGateway" to ::openGateway,
        "exchange" to { gateway(it).exchange() },
        "visit" to ::visit,
        "gatewayStatus" to { gatewayStatus(gateway(it)) },
    )
