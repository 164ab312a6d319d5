// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.NodeConnectionParams
import tech.relaycorp.relaynet.PrivateEndpointConnParams
import tech.relaycorp.relaynet.wrappers.deserializeRSAPublicKey

val connectionParams: Map<String, Kind> =
    mapOf(
        "nodeConnectionParams" to
            PlainKind(
                NodeConnectionParams::deserialize,
                NodeConnectionParams::serialize,
                {
                    mapOf(
                        "internetAddress" to it.internetAddress,
                        "identityKey" to it.identityKey.encoded,
                        "sessionKey" to describe(it.sessionKey),
                    )
                },
                {
                    NodeConnectionParams(
                        it.text("internetAddress"),
                        it.octets("identityKey").deserializeRSAPublicKey(),
                        sessionKey(it.part("sessionKey")),
                    )
                },
            ),
        "privateEndpointConnectionParams" to
            PlainKind(
                PrivateEndpointConnParams::deserialize,
                PrivateEndpointConnParams::serialize,
                {
                    describe(it.deliveryAuth) +
                        mapOf(
                            "identityKey" to it.identityKey.encoded,
                            "internetAddress" to it.internetGatewayAddress,
                            "sessionKey" to describe(it.sessionKey),
                        )
                },
                {
                    PrivateEndpointConnParams(
                        it.octets("identityKey").deserializeRSAPublicKey(),
                        it.text("internetAddress"),
                        certificationPath(it),
                        sessionKey(it.part("sessionKey")),
                    )
                },
            ),
    )
