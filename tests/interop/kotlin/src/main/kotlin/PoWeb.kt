// SPDX-License-Identifier: MIT

package awala.interop

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.withTimeoutOrNull
import tech.relaycorp.poweb.PoWebClient
import tech.relaycorp.relaynet.bindings.pdc.ParcelCollection
import tech.relaycorp.relaynet.bindings.pdc.StreamingMode
import tech.relaycorp.relaynet.wrappers.deserializeRSAKeyPair
import kotlin.time.Duration.Companion.milliseconds

/** Return a client of the gateway at `port` of this machine, or of `host` over TLS. */
private fun client(request: Values): PoWebClient =
    request.textOrNull("host")?.let { PoWebClient.initRemote(it, request.int("port")) }
        ?: PoWebClient.initLocal(request.int("port"))

suspend fun register(request: Values): Any =
    client(request).use { client ->
        val keys = request.octets("privateKey").deserializeRSAKeyPair()
        val registrationRequest = client.preRegisterNode(keys.public)
        describe(client.registerNode(registrationRequest.serialize(keys.private)))
    }

suspend fun deliverParcel(request: Values) =
    client(request).use { it.deliverParcel(request.octets("parcel"), signer(request)) }

/**
 * Collect and acknowledge until `count` parcels are there, the gateway has no more, or `milliseconds` have passed.
 * After `count` parcels the library drops the connection, and with it perhaps the last acknowledgement.
 */
suspend fun collectParcels(request: Values): Any {
    val mode = StreamingMode.entries.single { it.headerValue == request.text("mode") }
    val signers = request.parts("signers").map(::signer).toTypedArray()
    val parcels = mutableListOf<Map<String, Any?>>()
    client(request).use { client ->
        val collections = client.collectParcels(signers, mode).upTo(request.intOrNull("count"))
        withTimeoutOrNull((request.intOrNull("milliseconds") ?: Int.MAX_VALUE).milliseconds) {
            collections.onEach { parcels.add(taken(it)) }.collect()
        }
    }
    return parcels
}

private fun <T> Flow<T>.upTo(count: Int?) = if (count == null) this else take(count)

private suspend fun taken(collection: ParcelCollection): Map<String, Any?> {
    val refusal = runCatching { collection.deserializeAndValidateParcel() }.exceptionOrNull()
    collection.ack()
    return mapOf("parcel" to collection.parcelSerialized, "refusal" to refusal?.message)
}
