// SPDX-License-Identifier: MIT

package awala.interop

import com.google.gson.JsonObject
import com.google.gson.JsonParser
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import java.util.logging.LogManager
import kotlin.system.exitProcess

/**
 * A peer made of the reference libraries. It reads one JSON object per line from standard input and answers
 * each with one on standard output, as ../README.md says; requests are worked at side by side.
 */
fun main() {
    val output = System.out
    System.setOut(System.err) // whatever a library prints is no answer
    LogManager.getLogManager().reset()
    runBlocking {
        generateSequence(::readlnOrNull).forEach { line ->
            launch(Dispatchers.IO) {
                val answer = answerTo(JsonParser.parseString(line).asJsonObject).toString()
                synchronized(output) { output.println(answer) }
            }
        }
    }
    exitProcess(0)
}

private suspend fun answerTo(request: JsonObject): JsonObject {
    val answer = JsonObject()
    answer.add("id", request["id"])
    try {
        val name = request["do"].asString
        val operation = operations[name] ?: throw NoSuchElementException("there is no operation $name")
        answer.add("ok", encode(operation(Values.of(request))))
    } catch (problem: Throwable) { // what the libraries let escape is an answer too
        answer.add("error", encode(describe(problem)))
    }
    return answer
}

/** Return the class and the messages of what was thrown, the causes behind the outermost. */
fun describe(problem: Throwable): Map<String, Any?> =
    mapOf(
        "class" to problem::class.java.simpleName,
        "message" to generateSequence(problem) { it.cause }.joinToString(" <- ") { it.message ?: it.toString() },
    )
