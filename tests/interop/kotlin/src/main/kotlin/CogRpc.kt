// SPDX-License-Identifier: MIT

package awala.interop

import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.catch
import kotlinx.coroutines.flow.toList
import tech.relaycorp.cogrpc.okhttp.OkHTTPChannelBuilderProvider
import tech.relaycorp.relaynet.CargoDeliveryRequest
import tech.relaycorp.relaynet.cogrpc.client.CogRPCClient
import java.io.InputStream

/** Deliver `cargoes`, each with its `id`; `acknowledged` has the ids, also if the call failed. */
suspend fun deliverCargo(request: Values): Any {
    val cargoes =
        request.parts("cargoes").map { item ->
            CargoDeliveryRequest(item.text("id")) { item.octets("cargo").inputStream() }
        }
    return called(request, "acknowledged") { it.deliverCargo(cargoes) }
}

/** Collect with a `cca`; `cargoes` has what came, also if the call failed. */
suspend fun collectCargo(request: Values): Any =
    called(request, "cargoes") { client -> client.collectCargo { request.octets("cca").inputStream() } }
        .mapValues { (_, value) -> (value as? List<*>)?.map { (it as InputStream).readBytes() } ?: value }

/** Call the server at `address`, a URL, and return what came under `name`, with the `error` if there was one. */
private suspend fun <T> called(request: Values, name: String, call: (CogRPCClient) -> Flow<T>): Map<String, Any?> {
    val client =
        CogRPCClient.Builder.build(
            request.text("address"),
            OkHTTPChannelBuilderProvider.Companion::makeBuilder,
            requireTls = !request.flag("plain"),
        )
    var error: Throwable? = null
    try {
        val items = call(client).catch { error = it }.toList()
        return mapOf(name to items, "error" to error?.let(::describe))
    } finally {
        client.close()
    }
}
