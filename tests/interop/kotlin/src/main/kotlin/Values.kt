// SPDX-License-Identifier: MIT

package awala.interop

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject
import com.google.gson.JsonPrimitive
import java.time.ZonedDateTime
import java.time.format.DateTimeFormatter
import java.util.Base64

/** The arguments of a request or of a part of one; octets are `{"base64": …}` on the line. */
class Values private constructor(private val values: Map<String, Any?>) {
    operator fun contains(name: String) = name in values

    fun isNull(name: String) = values[name] == null

    fun octets(name: String) = given<ByteArray>(name)

    fun octetsOrNull(name: String) = values[name] as ByteArray?

    fun listOfOctets(name: String) = given<List<*>>(name).map { it as ByteArray }

    fun text(name: String) = given<String>(name)

    fun textOrNull(name: String) = values[name] as String?

    fun intOrNull(name: String) = (values[name] as Number?)?.toInt()

    fun int(name: String) = given<Number>(name).toInt()

    fun flag(name: String) = values[name] == true

    fun date(name: String): ZonedDateTime = ZonedDateTime.parse(text(name))

    fun part(name: String) = given<Values>(name)

    fun partOrNull(name: String) = values[name] as Values?

    fun parts(name: String) = given<List<*>>(name).map { it as Values }

    private inline fun <reified T> given(name: String): T =
        values[name] as? T ?: throw IllegalArgumentException("$name is missing or of another type")

    companion object {
        fun of(json: JsonObject) = Values(json.entrySet().associate { (name, value) -> name to decode(value) })

        private fun decode(value: JsonElement): Any? =
            when {
                value.isJsonNull -> null
                value.isJsonArray -> value.asJsonArray.map(::decode)
                value.isJsonObject -> value.asJsonObject.let { octetsOf(it) ?: of(it) }
                value.asJsonPrimitive.isBoolean -> value.asBoolean
                value.asJsonPrimitive.isNumber -> value.asLong
                else -> value.asString
            }

        private fun octetsOf(json: JsonObject) =
            json["base64"]?.takeIf { json.size() == 1 }?.let { Base64.getDecoder().decode(it.asString) }
    }
}

/** Write an answer: octets, text, numbers, dates, lists and maps of them, or nothing. */
fun encode(value: Any?): JsonElement =
    when (value) {
        null, Unit -> JsonNull.INSTANCE
        is ByteArray -> JsonObject().apply { addProperty("base64", Base64.getEncoder().encodeToString(value)) }
        is Number -> JsonPrimitive(value)
        is Boolean -> JsonPrimitive(value)
        is ZonedDateTime -> JsonPrimitive(value.format(DateTimeFormatter.ISO_OFFSET_DATE_TIME))
        is Iterable<*> -> JsonArray().apply { value.forEach { add(encode(it)) } }
        is Map<*, *> -> JsonObject().apply { value.forEach { (name, item) -> add(name as String, encode(item)) } }
        else -> JsonPrimitive(value.toString())
    }
