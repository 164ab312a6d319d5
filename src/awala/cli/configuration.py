# SPDX-License-Identifier: MIT
"""Reads settings: from the file, then from the environment, then from the command line; the last wins.

Whatever is wrong is told by where it stands: the file, section and key, the variable, or the option.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from awala.base.errors import ConfigurationError
from awala.cli.settings import Section, Settings

PREFIX = "AWALA"
MAX_FILE_SIZE = 1_048_576
"""Octets that a configuration file may have."""

S = TypeVar("S", bound=Settings)
Overrides = Mapping[str, Mapping[str, object]]
"""Settings from the command line by section and name; None stands for an option that was not given."""


class _Values:
    """Values gathered so far and, for messages, where each comes from."""

    def __init__(self) -> None:
        self.sections: dict[str, dict[str, object]] = {}
        self.origins: dict[tuple[str, str], str] = {}

    def put(self, section: str, name: str, value: object, origin: str) -> None:
        self.sections.setdefault(section, {})[name] = value
        self.origins[section, name] = origin


def load(
    model: type[S],
    *,
    file: Path,
    required: bool = False,
    overrides: Overrides | None = None,
    environ: Mapping[str, str] = os.environ,
) -> S:
    """Read the settings of a command.

    Args:
        model: which sections there are.
        file: the configuration file.
        required: whether the file must exist; without it the defaults serve.
        overrides: what the command line says.
        environ: the environment.

    Raises:
        ConfigurationError: something cannot be read, is not known, or has a value that does not fit.
    """
    values = _Values()
    _read_file(model, file, values, required=required)
    _read_environment(model, environ, values)
    for section, settings in (overrides or {}).items():
        for name, value in settings.items():
            if value is not None:
                values.put(section, name, value, f"option --{name.replace('_', '-')}")
    try:
        return model.model_validate(values.sections)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, values, file)) from None


def section_class(field: FieldInfo) -> type[Section]:
    """Return the class of a section, also of one that may be absent."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    raise TypeError(f"{field.annotation} is no section")


def spell(section: str) -> str:
    """Return the name of a section as it stands in the file."""
    return section.replace("_", "-")


def _read_file(model: type[Settings], file: Path, values: _Values, *, required: bool) -> None:
    document = _parse_file(file, required=required)
    for table, content in document.items():
        section = table.replace("-", "_")
        if section not in model.model_fields:
            known = map(spell, model.model_fields)
            raise ConfigurationError(f"{file}: there is no section [{table}]{_suggest(table, known)}")
        if not isinstance(content, dict):
            raise ConfigurationError(f"{file}: {table} must be a section, written [{table}]")
        names = section_class(model.model_fields[section]).model_fields
        for name, value in content.items():
            if name not in names:
                raise ConfigurationError(f"{file}: [{table}] has no setting {name!r}{_suggest(name, names)}")
            values.put(section, name, value, f"{file}: [{table}] {name}")


def _parse_file(file: Path, *, required: bool) -> dict[str, object]:
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_FILE_SIZE + 1)
    except FileNotFoundError:
        if required:
            raise ConfigurationError(f"{file} does not exist; 'init' writes it") from None
        return {}
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    if len(text) > MAX_FILE_SIZE:
        raise ConfigurationError(f"{file}: larger than {MAX_FILE_SIZE} octets: this is no configuration file")
    try:
        return tomllib.loads(text.decode())
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file}: is no UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{file}: is no valid TOML: {error}") from None


def _read_environment(model: type[Settings], environ: Mapping[str, str], values: _Values) -> None:
    for section, field in model.model_fields.items():
        names = section_class(field).model_fields
        prefix = f"{PREFIX}_{section}_".upper()
        longer = tuple(
            f"{PREFIX}_{other}_".upper() for other in model.model_fields if other.startswith(f"{section}_")
        )
        for variable, text in environ.items():
            if not variable.startswith(prefix) or (longer and variable.startswith(longer)):
                continue
            name = variable[len(prefix) :].lower()
            if name not in names:
                known = (prefix + other.upper() for other in names)
                raise ConfigurationError(
                    f"the environment variable {variable} is no setting{_suggest(variable, known)}"
                )
            values.put(section, name, _parse_text(text, names[name]), f"environment variable {variable}")


def _parse_text(text: str, field: FieldInfo) -> object:
    """Turn the text of a variable into what the field takes: lists are comma-separated or JSON."""
    if text == "" and type(None) in get_args(field.annotation):
        return None
    if isinstance(field.default, tuple):
        if text.lstrip().startswith("["):
            try:
                return json.loads(text)
            except ValueError:
                return text
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _explain(error: ValidationError, values: _Values, file: Path) -> str:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    location = [str(part) for part in problem["loc"]]
    section, name = location[0], location[1] if len(location) > 1 else ""
    reason = problem["msg"].removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    origin = values.origins.get((section, name))
    if origin is not None:
        return f"{origin}: {reason}"
    place = f"[{spell(section)}] {name}".rstrip()
    variable = f"{PREFIX}_{section}_{name}".upper()
    if problem["type"] == "missing":
        return f"{file}: {place} is missing" + (f"; set it there or in {variable}" if name else "")
    return f"{file}: {place}: {reason}"


def _suggest(word: str, known: Iterable[str]) -> str:
    choices = list(known)
    close = difflib.get_close_matches(word, choices, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(choices)}"
