// SPDX-License-Identifier: MIT

package awala.interop

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import tech.relaycorp.poweb.PoWebClient
import tech.relaycorp.relaynet.bindings.pdc.ParcelCollection
import tech.relaycorp.relaynet.bindings.pdc.Signer
import tech.relaycorp.relaynet.bindings.pdc.StreamingMode
import tech.relaycorp.relaynet.wrappers.deserializeRSAKeyPair
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.time.Duration.Companion.milliseconds

private val RETRY = 200.milliseconds
private val LOOK = 10.milliseconds

/** Return a client of a `door`: a port of this machine without TLS, or one of a host with it. */
fun clientOf(door: Values): PoWebClient {
    val port = door.int("port")
    return door.textOrNull("host")?.let { PoWebClient.initRemote(it, port) } ?: PoWebClient.initLocal(port)
}

private fun client(request: Values) = clientOf(request.part("door"))

suspend fun register(request: Values): Any =
    client(request).use { client ->
        val keys = request.octets("privateKey").deserializeRSAKeyPair()
        val registrationRequest = client.preRegisterNode(keys.public)
        describe(client.registerNode(registrationRequest.serialize(keys.private)))
    }

suspend fun deliverParcel(request: Values) =
    client(request).use { it.deliverParcel(request.octets("parcel"), signer(request)) }

/** Collect until the gateway has no more, and acknowledge each. */
suspend fun collectParcels(request: Values): Any {
    val parcels = mutableListOf<Map<String, Any?>>()
    client(request).use { client ->
        client.collectParcels(signers(request), StreamingMode.CloseUponCompletion).collect { parcels.add(take(it)) }
    }
    return mapOf("parcels" to parcels)
}

private class OpenCollection {
    val parcels = CopyOnWriteArrayList<Map<String, Any?>>()
    val errors = CopyOnWriteArrayList<Map<String, Any?>>()
}

private val scope = CoroutineScope(Dispatchers.IO)
private val opened = CopyOnWriteArrayList<OpenCollection>()

/** Collect on and on for as long as this process runs, and begin anew after an error, as the apps do. */
suspend fun openCollection(request: Values): Any {
    val collection = OpenCollection()
    val (client, signers) = client(request) to signers(request)
    scope.launch {
        while (true) {
            runCatching {
                client.collectParcels(signers, StreamingMode.KeepAlive).collect { collection.parcels.add(take(it)) }
            }.onFailure { collection.errors.add(describe(it)) }
            delay(RETRY)
        }
    }
    opened.add(collection)
    return opened.indexOf(collection)
}

/** Tell what has come since `openCollection`, once it is `count` parcels. */
suspend fun collected(request: Values): Any {
    val collection = opened[request.int("collection")]
    while (collection.parcels.size < request.int("count")) {
        delay(LOOK)
    }
    return mapOf("parcels" to collection.parcels, "errors" to collection.errors)
}

private fun signers(request: Values): Array<Signer> = request.parts("signers").map(::signer).toTypedArray()

private suspend fun take(collection: ParcelCollection): Map<String, Any?> {
    val refusal = runCatching { collection.deserializeAndValidateParcel() }.exceptionOrNull()
    collection.ack()
    return mapOf("parcel" to collection.parcelSerialized, "refusal" to refusal?.message)
}
