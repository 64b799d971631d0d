"""What must stay secret: the owner's password and API key, and the key that signs sessions. Files of mode 0600."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pref_argilla.errors import ServerError

OWNER_USERNAME = "owner"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The owner's ways in: ``username`` and ``password`` in the browser, ``api_key`` for programs."""

    username: str
    password: str = field(repr=False)
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Secrets:
    credentials: Credentials
    session_key: str = field(repr=False)


def write_private(path: Path, content: str) -> None:
    """Write ``content`` so that only its owner can ever read it, and so that a crash leaves the old or the new file."""
    # mkstemp creates the file with mode 0600.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def read_secrets(path: Path) -> Secrets | None:
    """The stored secrets, or None if there are none yet. Raises ``ServerError`` if the file cannot be understood."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Secrets(
            Credentials(data["username"], data["password"], data["api_key"]),
            data["session_key"],
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, OSError) as exc:
        raise ServerError(
            f"The credentials file {path} cannot be read.",
            cause=f"{type(exc).__name__} while reading it; it may have been edited or cut off.",
            next_step="Remove the file and run `pref-argilla server up`: the owner gets a new password and API key.",
        ) from exc


def ensure_secrets(path: Path) -> Secrets:
    """Read the secrets, or make random ones at first use. A file that others could read is closed to them."""
    existing = read_secrets(path)
    if existing is not None:
        path.chmod(0o600)
        return existing
    made = Secrets(
        Credentials(OWNER_USERNAME, secrets.token_urlsafe(15), secrets.token_urlsafe(48)), secrets.token_hex(32)
    )
    write_private(path, json.dumps({**asdict(made.credentials), "session_key": made.session_key}, indent=2) + "\n")
    return made
