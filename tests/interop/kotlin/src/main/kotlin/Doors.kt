// SPDX-License-Identifier: MIT

package awala.interop

import kotlinx.coroutines.flow.collect
import tech.relaycorp.poweb.PoWebClient
import tech.relaycorp.relaynet.bindings.pdc.Signer
import tech.relaycorp.relaynet.bindings.pdc.StreamingMode
import tech.relaycorp.relaynet.messages.control.PrivateNodeRegistration
import java.security.KeyPair

/** What a node can do at the gateway above it. */
interface Door {
    suspend fun register(identity: KeyPair): PrivateNodeRegistration

    suspend fun deliver(parcel: ByteArray, signer: Signer)

    /** Give each parcel that waits for the signer to `take`; those that it returns from are gone. */
    suspend fun collect(signer: Signer, take: suspend (ByteArray) -> Unit)
}

/** The PoWeb client of the library, at a `door` as it is described in a request. */
class PoWebDoor(private val door: Values) : Door {
    private suspend fun <T> withClient(use: suspend (PoWebClient) -> T) = clientOf(door).use { use(it) }

    override suspend fun register(identity: KeyPair) =
        withClient { it.registerNode(it.preRegisterNode(identity.public).serialize(identity.private)) }

    override suspend fun deliver(parcel: ByteArray, signer: Signer) = withClient { it.deliverParcel(parcel, signer) }

    override suspend fun collect(signer: Signer, take: suspend (ByteArray) -> Unit) =
        withClient { client ->
            client.collectParcels(arrayOf(signer), StreamingMode.CloseUponCompletion).collect {
                take(it.parcelSerialized)
                it.ack()
            }
        }
}
