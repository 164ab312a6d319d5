// SPDX-License-Identifier: MIT

package awala.interop

/** What the libraries read and make: `read` gives what is in octets, `make` gives `octets` and what else came up. */
interface Kind {
    fun read(octets: ByteArray, request: Values): Any?

    fun make(request: Values): Map<String, Any?>
}

/** A kind without signatures or keys of its own. */
class PlainKind<T>(
    private val parse: (ByteArray) -> T,
    private val serialize: (T) -> ByteArray,
    val describe: (T) -> Map<String, Any?>,
    val build: (Values) -> T,
) : Kind {
    override fun read(octets: ByteArray, request: Values) = describe(parse(octets))

    override fun make(request: Values) = mapOf("octets" to serialize(build(request)))
}

private val kinds =
    plaintexts + messages + controlMessages + connectionParams + registrations + collections + certificateKinds

fun kindNamed(name: String) = kinds[name] ?: throw NoSuchElementException("there is no kind $name")
