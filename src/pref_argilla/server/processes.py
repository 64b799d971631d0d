"""Our own processes: detached children known by pid and start time, so that a reused pid is never touched."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pref_argilla.errors import ServerError


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """``started`` is the process's start time in seconds since the epoch, as psutil reports it."""

    name: str
    pid: int
    started: float


def import_psutil() -> ModuleType:
    try:
        import psutil
    except ImportError as exc:
        raise ServerError(
            "The embedded Argilla needs packages that are not installed.",
            cause="The extra `server` brings psutil and uv.",
            next_step="Run: pip install 'pref-argilla[server]'",
        ) from exc
    module: ModuleType = psutil
    return module


def spawn(name: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> ProcessIdentity:
    """Start ``command`` in a session of its own, with its output appended to ``log``."""
    psutil = import_psutil()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as exc:
        raise ServerError(
            f"The {name} process of the embedded Argilla cannot be started.",
            cause=f"{exc.strerror or type(exc).__name__}: {command[0]}",
            next_step="Remove the server's environment and run `pref-argilla server up` again.",
        ) from exc
    finally:
        os.close(descriptor)
    # The child is meant to outlive this process; without this, Popen warns about it when collected.
    child.returncode = 0
    try:
        started = float(psutil.Process(child.pid).create_time())
    except psutil.NoSuchProcess:
        started = 0.0
    return ProcessIdentity(name, child.pid, started)


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether that very process runs: the pid alone may belong to another process by now."""
    psutil = import_psutil()
    try:
        process = psutil.Process(identity.pid)
        return abs(float(process.create_time()) - identity.started) < 1.0 and _running(process)
    except psutil.NoSuchProcess:
        return False


def stop(identities: Iterable[ProcessIdentity], *, grace_seconds: float) -> None:
    """Ask each process (and its children) to end, then end what is left after ``grace_seconds``."""
    psutil = import_psutil()
    everything: list[Any] = []
    for identity in identities:
        if not is_alive(identity):
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(identity.pid)
            everything += [process, *process.children(recursive=True)]
            process.terminate()
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline and any(_running(process) for process in everything):
        time.sleep(0.05)
    for process in everything:
        with contextlib.suppress(psutil.NoSuchProcess):
            if _running(process):
                process.kill()
    psutil.wait_procs(everything, timeout=5)


def _running(process: Any) -> bool:
    psutil = import_psutil()
    try:
        if process.status() != psutil.STATUS_ZOMBIE:
            return bool(process.is_running())
    except psutil.NoSuchProcess:
        return False
    # A child of this very process stays a zombie until its exit is collected; anybody else's is init's business.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return False
