"""Keys and addresses from the environment, from ``secrets.env`` (mode 0600) and from the embedded server."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pref_argilla.config import Config
from pref_argilla.errors import ConfigError, LabelingUnreachableError
from pref_argilla.models import LOCAL_ENDPOINT

if TYPE_CHECKING:
    from pref_argilla.labeling.connection import ArgillaAddress
    from pref_argilla.models import ModelSpec
    from pref_argilla.server import EmbeddedServer

SECRETS_FILE = "secrets.env"


def variables(folder: Path) -> dict[str, str]:
    """The environment over what ``secrets.env`` holds; a file that others can read is refused."""
    path = folder / SECRETS_FILE
    values: dict[str, str] = {}
    for number, line in enumerate((_secrets(path) or "").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*", line)
        if match is None:
            raise ConfigError(f"{path}, line {number} is not NAME=value.", next_step="Correct that line.")
        values[match[1]] = match[2].strip("\"'")
    # A variable that is set to nothing is not set: "OPENAI_API_KEY=" must not hide the key in the file.
    return {**values, **{name: value for name, value in os.environ.items() if value}}


def _secrets(path: Path) -> str | None:
    """What the file holds, None where there is none. The mode is that of the file which is read."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}.", next_step="Check its owner and rights.") from exc
    if mode & 0o077:
        raise ConfigError(f"{path} can be read by others.", next_step=f"Run: chmod 600 {shlex.quote(str(path))}")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        # Without its cause: that would hold the file's content, keys and all.
        raise ConfigError(f"{path}, line {line} is not UTF-8.", next_step="Save the file as UTF-8.") from None


def model_keys(config: Config, models: Iterable[ModelSpec]) -> dict[str, str]:
    """The key for each variable that the models name. Raises ConfigError for one that is not set."""
    available = variables(config.folder)
    keys: dict[str, str] = {}
    for model in models:
        name = model.api_key_variable
        if not name or model.base_url == LOCAL_ENDPOINT:
            continue
        if not available.get(name):
            raise ConfigError(
                f"The environment variable {name} is not set; model {model.name!r} needs it for {model.base_url}.",
                next_step=f"Set {name}, or write it to {SECRETS_FILE} (mode 0600); "
                'for an endpoint without keys set api_key_variable = "".',
            )
        keys[name] = available[name]
    return keys


def embedded_server(folder: Path) -> EmbeddedServer:
    from pref_argilla.server import EmbeddedServer

    return EmbeddedServer(folder / ".argilla", base_environ=os.environ)


def argilla_address(config: Config) -> ArgillaAddress:
    """``[argilla] url`` or ARGILLA_API_URL with ARGILLA_API_KEY; without an address, the project's embedded server."""
    from pref_argilla.labeling.connection import ArgillaAddress

    available = variables(config.folder)
    url = config.argilla.url or available.get("ARGILLA_API_URL", "")
    if url:
        key = available.get("ARGILLA_API_KEY", "")
        if not key:
            raise ConfigError(
                f"ARGILLA_API_KEY is not set; {url} needs it.",
                next_step="Set it to the key that Argilla shows under 'My settings'.",
            )
        return ArgillaAddress(url, key)
    server = embedded_server(config.folder)
    credentials = server.credentials()
    running = server.status().url
    if not running:
        raise LabelingUnreachableError(
            "The embedded Argilla is not running.", next_step="Run 'pref-argilla server up'."
        )
    return ArgillaAddress(running, credentials.api_key)
