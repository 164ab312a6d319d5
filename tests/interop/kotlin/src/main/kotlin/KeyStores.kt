// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.keystores.PrivateKeyData
import tech.relaycorp.relaynet.keystores.PrivateKeyStore
import tech.relaycorp.relaynet.keystores.SessionPublicKeyData
import tech.relaycorp.relaynet.keystores.SessionPublicKeyStore
import java.util.concurrent.ConcurrentHashMap

private typealias Ends = Pair<String, String?>

/** Private keys in memory; `made` and `asked` are the ids of the session keys that came and went last, in hexadecimal. */
class PrivateKeysInMemory : PrivateKeyStore() {
    private val identityKeys = ConcurrentHashMap<String, PrivateKeyData>()
    private val sessionKeys = ConcurrentHashMap<Pair<String, Ends>, ByteArray>()
    var made = ""
        private set
    var asked = ""
        private set

    override suspend fun saveIdentityKeyData(nodeId: String, keyData: PrivateKeyData) {
        identityKeys[nodeId] = keyData
    }

    override suspend fun retrieveIdentityKeyData(nodeId: String) = identityKeys[nodeId]

    override suspend fun retrieveAllIdentityKeyData() = identityKeys.values.toList()

    override suspend fun saveSessionKeySerialized(
        keyId: String,
        keySerialized: ByteArray,
        nodeId: String,
        peerId: String?,
    ) {
        made = keyId
        sessionKeys[keyId to (nodeId to peerId)] = keySerialized
    }

    override suspend fun retrieveSessionKeySerialized(keyId: String, nodeId: String, peerId: String): ByteArray? {
        asked = keyId
        return sessionKeys[keyId to (nodeId to peerId)] ?: sessionKeys[keyId to (nodeId to null)]
    }

    override suspend fun deleteKeys(nodeId: String) {
        identityKeys.remove(nodeId)
        sessionKeys.keys.removeIf { (_, ends) -> ends.first == nodeId }
    }

    override suspend fun deleteBoundSessionKeys(nodeId: String, peerId: String) {
        sessionKeys.keys.removeIf { (_, ends) -> ends == nodeId to peerId }
    }
}

/** The newest session key of each peer, in memory. */
class PublicKeysInMemory : SessionPublicKeyStore() {
    private val keys = ConcurrentHashMap<Ends, SessionPublicKeyData>()

    override suspend fun saveKeyData(keyData: SessionPublicKeyData, nodeId: String, peerId: String) {
        keys[nodeId to peerId] = keyData
    }

    override suspend fun retrieveKeyData(nodeId: String, peerId: String) = keys[nodeId to peerId]

    override suspend fun delete(nodeId: String, peerId: String) {
        keys.remove(nodeId to peerId)
    }
}
