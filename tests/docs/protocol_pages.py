# SPDX-License-Identifier: MIT
"""Fills the pages in docs/protocol with their examples: ``./scripts/docs`` writes them, a test compares.

A page says with comments what is to stand where. Between each of them and the comment ``end`` stands:

    example: FILE       a drawing of one example
    inspect: WORDS      what ``awala inspect`` says about one
    derivation          how the key of the encrypted example comes about
    files               the list of all examples
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from protocol_dump import MOST_OCTETS_WHOLE, dump, hexadecimal
from protocol_examples import DIRECTORY, EXAMPLES, make_all

from awala.cli.failures import ExitCode
from awala.cli.program import run_program
from awala.cms import EnvelopedData

PAGES = DIRECTORY.parent
ROOT = PAGES.parent.parent

_BLOCK = re.compile(r"(<!-- (\w+)(?:: ([^\n]*))? -->\n).*?(<!-- end -->)", re.DOTALL)
_BY_NAME = {example.name: example for example in EXAMPLES}


def filled(page: Path, files: Mapping[str, bytes]) -> str:
    """Return the text of a page with every block as it should be."""

    def fill(block: re.Match[str]) -> str:
        match block[2]:
            case "example":
                text = _example(block[3], files[block[3]])
            case "inspect":
                text = _inspect(block[3])
            case "derivation":
                text = _derivation(files)
            case "files":
                text = _files(files)
            case _:
                message = f"{page}: nobody knows what to put at {block[1]!r}"
                raise ValueError(message)
        return f"{block[1]}{text}\n{block[4]}"

    return _BLOCK.sub(fill, page.read_text())


def _fenced(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _example(name: str, octets: bytes) -> str:
    example = _BY_NAME[name]
    blocks = [f"[`{name}`](examples/{name}), {_grouped(len(octets))} octets: {example.title}."]
    if len(octets) <= MOST_OCTETS_WHOLE:
        blocks.append(_fenced(hexadecimal(octets)))
    if example.meaning is not None:
        blocks.append(_fenced(dump(octets, example.meaning, prefix=example.prefix)))
    return "\n\n".join(blocks)


def _inspect(words: str) -> str:
    given = shlex.split(words)
    shown = " ".join(f"docs/protocol/examples/{word}" if _is_file(word) else word for word in given)
    called = [str(DIRECTORY / word) if _is_file(word) else word for word in given]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = run_program(["inspect", *called])
    if code is not ExitCode.SUCCESS:
        message = f"awala inspect {words} failed"
        raise ValueError(message)
    return "\n\n".join((_fenced(f"awala inspect {shown}", "sh"), _fenced(output.getvalue().rstrip())))


def _is_file(word: str) -> bool:
    return (DIRECTORY / word).is_file()


def _derivation(files: Mapping[str, bytes]) -> str:
    """Return the way to the content key, computed with pyca alone."""
    envelope = EnvelopedData.parse(files["service-message.enveloped.der"])
    private = serialization.load_der_private_key(files["keys/endpoint-a.session.pkcs8.der"], None)
    point = envelope.originator_key.public_key.point
    secret = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
    shared = files["shared-info.der"]
    wrapping = X963KDF(hashes.SHA256(), 16, shared).derive(secret)
    wrapped = envelope._agreement.wrapped_key
    lines = {
        "shared secret (x-coordinate)": secret,
        "wrapping key": wrapping,
        "wrapped content key": wrapped,
        "content key": keywrap.aes_key_unwrap(wrapping, wrapped),
        "initialisation vector": envelope._nonce,
    }
    return _fenced("\n".join(f"{name:<29} {octets.hex()}" for name, octets in lines.items()))


def _files(files: Mapping[str, bytes]) -> str:
    rows = ["| file | octets | what it is |", "| --- | --- | --- |"]
    for example in EXAMPLES:
        size = _grouped(len(files[example.name]))
        rows.append(f"| [`{example.name}`]({example.name}) | {size} | {example.title} |")
    return "\n".join(rows)


def main() -> None:
    """Write the examples, then the pages."""
    files = make_all()
    for name, octets in files.items():
        file = DIRECTORY / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(octets)
    for page in sorted(PAGES.rglob("*.md")):
        page.write_text(filled(page, files))


if __name__ == "__main__":
    main()
