// SPDX-License-Identifier: MIT

package awala.interop

import com.google.protobuf.ByteString
import io.grpc.Context
import io.grpc.Contexts
import io.grpc.InsecureServerCredentials
import io.grpc.Metadata
import io.grpc.Server
import io.grpc.ServerCall
import io.grpc.ServerCallHandler
import io.grpc.ServerInterceptor
import io.grpc.Status
import io.grpc.TlsServerCredentials
import io.grpc.okhttp.OkHttpServerBuilder
import io.grpc.stub.StreamObserver
import tech.relaycorp.relaynet.cogrpc.AuthorizationMetadata
import tech.relaycorp.relaynet.cogrpc.CargoDelivery
import tech.relaycorp.relaynet.cogrpc.CargoDeliveryAck
import tech.relaycorp.relaynet.cogrpc.CargoRelayGrpc
import tech.relaycorp.relaynet.cogrpc.toAck
import java.net.InetSocketAddress
import java.util.Collections
import java.util.concurrent.ConcurrentHashMap

/** A courier on the service of the library: it takes all cargo, and gives `offered` to whoever shows a CCA. */
private class CargoRelay(private val offered: List<Values>, private val refusal: Status?) :
    CargoRelayGrpc.CargoRelayImplBase() {
    val delivered: MutableList<ByteArray> = Collections.synchronizedList(mutableListOf())
    val acknowledged: MutableList<String> = Collections.synchronizedList(mutableListOf())
    val authorizations: MutableList<ByteArray> = Collections.synchronizedList(mutableListOf())

    override fun deliverCargo(acks: StreamObserver<CargoDeliveryAck>) =
        object : StreamObserver<CargoDelivery> {
            override fun onNext(delivery: CargoDelivery) {
                if (refusal != null) {
                    return acks.onError(refusal.asRuntimeException())
                }
                delivered.add(delivery.cargo.toByteArray())
                acks.onNext(delivery.toAck())
            }

            override fun onError(problem: Throwable) = Unit

            override fun onCompleted() = acks.onCompleted()
        }

    override fun collectCargo(deliveries: StreamObserver<CargoDelivery>): StreamObserver<CargoDeliveryAck> {
        val waiting = Collections.synchronizedSet(offered.map { it.text("id") }.toMutableSet())
        authorizations.add(authorization.get() ?: ByteArray(0))
        when {
            refusal != null -> deliveries.onError(refusal.asRuntimeException())
            offered.isEmpty() -> deliveries.onCompleted()
            else -> offered.forEach { deliveries.onNext(delivery(it)) }
        }
        return object : StreamObserver<CargoDeliveryAck> {
            override fun onNext(ack: CargoDeliveryAck) {
                acknowledged.add(ack.id)
                if (waiting.remove(ack.id) && waiting.isEmpty()) {
                    deliveries.onCompleted()
                }
            }

            override fun onError(problem: Throwable) = Unit

            override fun onCompleted() = Unit
        }
    }

    private fun delivery(item: Values) =
        CargoDelivery.newBuilder().setId(item.text("id")).setCargo(ByteString.copyFrom(item.octets("cargo"))).build()
}

private val authorization = Context.key<ByteArray?>("authorization")

private object ReadsAuthorization : ServerInterceptor {
    override fun <I, O> interceptCall(
        call: ServerCall<I, O>,
        headers: Metadata,
        next: ServerCallHandler<I, O>,
    ): ServerCall.Listener<I> {
        val context = Context.current().withValue(authorization, AuthorizationMetadata.getCCASerialized(headers))
        return Contexts.interceptCall(context, call, headers, next)
    }
}

private class RunningRelay(val server: Server, val relay: CargoRelay)

private val running = ConcurrentHashMap<Int, RunningRelay>()

/** Serve `offered` cargo at `host` with a `certificate` and its `key` (PEM), or plain; or refuse with a `status`. */
suspend fun startCargoRelay(request: Values): Any {
    val refusal = request.textOrNull("status")?.let { Status.fromCode(Status.Code.valueOf(it)) }
    val relay = CargoRelay(request.parts("offered"), refusal)
    val credentials =
        request.octetsOrNull("certificate")?.let {
            TlsServerCredentials.create(it.inputStream(), request.octets("key").inputStream())
        } ?: InsecureServerCredentials.create()
    val server =
        OkHttpServerBuilder.forPort(InetSocketAddress(request.text("host"), 0), credentials)
            .maxInboundMessageSize(request.intOrNull("maxMessageSize") ?: (16 * 1024 * 1024))
            .addService(relay)
            .intercept(ReadsAuthorization)
            .build()
            .start()
    running[server.port] = RunningRelay(server, relay)
    return mapOf("port" to server.port)
}

/** Stop the server at `port`, and tell what happened to it. */
suspend fun stopCargoRelay(request: Values): Any {
    val stopped = running.remove(request.int("port")) ?: throw NoSuchElementException("nothing runs there")
    stopped.server.shutdownNow().awaitTermination()
    return mapOf(
        "delivered" to stopped.relay.delivered,
        "acknowledged" to stopped.relay.acknowledged,
        "authorizations" to stopped.relay.authorizations,
    )
}
