# SPDX-License-Identifier: MIT
"""The options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from awala.cli.logs import LogFormat

F = TypeVar("F", bound=Callable[..., Any])

GATEWAY_LISTEN = "127.0.0.1:13276"
"""Where apps find the private gateway of their device (RS-016)."""

COURIER_PORT = 21473
"""Where private gateways look for a courier on its local network (RS-008)."""

COURIER_LISTEN = f"0.0.0.0:{COURIER_PORT}"


@dataclass(frozen=True, slots=True)
class Common:
    """What the common options said.

    Attributes:
        config: the configuration file, None for the default one.
        data_dir: the data directory, None for the default one.
        verbosity: how often ``-v`` was given.
        log_format: how log records are written.
    """

    config: Path | None = None
    data_dir: Path | None = None
    verbosity: int = 0
    log_format: LogFormat = LogFormat.CONSOLE

    @property
    def talks_with_person(self) -> bool:
        """Whether log records would stand between what a person reads, who has not asked for them."""
        return self.verbosity == 0 and self.log_format is LogFormat.CONSOLE


def common_options(function: F) -> F:
    """Give a command the common options; it receives them as its argument ``common: Common``.

    Logging is configured from them before the command's own function is called.
    """

    @wraps(function)
    def command(
        *args: Any, config: Path | None, data_dir: Path | None, verbose: int, log_format: str, **kwargs: Any
    ) -> Any:
        from awala.cli.logs import configure_logs  # noqa: PLC0415 - help and usage errors need no logging

        common = Common(config, data_dir, verbose, LogFormat(log_format))
        configure_logs(verbosity=common.verbosity, log_format=common.log_format)
        return function(*args, common=common, **kwargs)

    path = click.Path(path_type=Path)
    for option in (
        click.option(
            "--log-format",
            type=click.Choice([form.value for form in LogFormat]),
            default=LogFormat.CONSOLE.value,
            envvar="AWALA_LOG_FORMAT",
            help="How log records are written to standard error.",
        ),
        click.option("-v", "--verbose", count=True, help="Log more; twice for libraries as well."),
        click.option(
            "--data-dir",
            type=path,
            metavar="DIR",
            envvar="AWALA_DATA_DIR",
            help="Where keys and messages are kept, and config.toml unless --config names another.",
        ),
        click.option(
            "--config", type=path, metavar="FILE", envvar="AWALA_CONFIG", help="Configuration file (TOML)."
        ),
    ):
        command = option(command)
    return command  # type: ignore[return-value]  # click's decorators keep the function callable as before


gateway_option = click.option(
    "--gateway", metavar="URL", help=f"The private gateway (default http://{GATEWAY_LISTEN})."
)
"""Gives a command of an app the option ``--gateway``: where the private gateway of this device is."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""Gives a command the flag ``--json`` as its argument ``as_json: bool``."""
