# SPDX-License-Identifier: MIT
"""Writes the commented configuration file that ``init`` leaves behind."""

from __future__ import annotations

import inspect
import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path

from pydantic.fields import FieldInfo

from awala.base.errors import ConfigurationError
from awala.base.files import FILE_MODE, private_directory
from awala.cli.configuration import Overrides, section_class, spell
from awala.cli.settings import Settings

WIDTH = 100


def default_configuration(model: type[Settings], values: Overrides | None = None, *, title: str) -> str:
    """Return a configuration file in which every setting is explained.

    Those in ``values`` are set; all others are commented out and show their default.
    """
    lines = [f"# {title}", "# Settings that are commented out have the value shown.", ""]
    for section, field in model.model_fields.items():
        kind = section_class(field)
        given = (values or {}).get(section, {})
        lines += [*_comment(inspect.getdoc(kind) or ""), f"[{spell(section)}]"]
        for name, setting in kind.model_fields.items():
            lines += _comment(setting.description or "")
            default = _default(field, name, setting)
            if given.get(name) is not None:
                lines.append(f"{name} = {_toml(given[name])}")
            elif default is None:
                lines.append(f"# {name} = (none)")
            else:
                lines.append(f"# {name} = {_toml(default)}")
        lines.append("")
    return "\n".join(lines)


def write_configuration(file: Path, text: str) -> None:
    """Write a configuration file that only its owner can read; an existing one is left as it is.

    Raises:
        ConfigurationError: the file exists already, or cannot be written.
        StorageError: its directory cannot be made.
    """
    if not file.parent.exists():  # one that exists may be anybody's, and is left as it is
        private_directory(file.parent)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        raise ConfigurationError(f"{file} exists already and was left as it is") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _default(section: FieldInfo, name: str, setting: FieldInfo) -> object:
    """Return a setting's default: that of this command's section if it has its own."""
    if section.default is not None and hasattr(section.default, name):
        value: object = getattr(section.default, name)
        return value
    return None if setting.is_required() else setting.get_default()


def _comment(text: str) -> list[str]:
    paragraph = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    return [f"# {line}" for line in textwrap.wrap(paragraph, WIDTH)]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
