// SPDX-License-Identifier: MIT

package awala.interop

import tech.relaycorp.relaynet.messages.payloads.CargoCollectionRequest
import tech.relaycorp.relaynet.messages.payloads.CargoMessage
import tech.relaycorp.relaynet.messages.payloads.CargoMessageSet
import tech.relaycorp.relaynet.messages.payloads.ServiceMessage

val serviceMessage =
    PlainKind(
        ServiceMessage::deserialize,
        ServiceMessage::serializePlaintext,
        { mapOf("type" to it.type, "content" to it.content) },
        { ServiceMessage(it.text("type"), it.octets("content")) },
    )

val cargoMessageSet =
    PlainKind(
        CargoMessageSet::deserialize,
        CargoMessageSet::serializePlaintext,
        { mapOf("items" to it.messages.asList()) },
        { CargoMessageSet(it.listOfOctets("items").toTypedArray()) },
    )

val cargoCollectionRequest =
    PlainKind(
        CargoCollectionRequest::deserialize,
        CargoCollectionRequest::serializePlaintext,
        { mapOf("cargoDeliveryAuthorization" to it.cargoDeliveryAuthorization.serialize()) },
        { CargoCollectionRequest(certificate(it.octets("cargoDeliveryAuthorization"))) },
    )

/** An item of a cargo; `name` is null for one that the library does not know. */
private object CargoItem : Kind {
    override fun read(octets: ByteArray, request: Values) = mapOf("name" to CargoMessage(octets).type?.name)

    override fun make(request: Values) = throw UnsupportedOperationException("items are made as what they are")
}

val plaintexts: Map<String, Kind> =
    mapOf(
        "serviceMessage" to serviceMessage,
        "cargoMessageSet" to cargoMessageSet,
        "cargoCollectionRequest" to cargoCollectionRequest,
        "cargoItem" to CargoItem,
    )
