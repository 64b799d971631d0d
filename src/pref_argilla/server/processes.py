"""Our own processes: detached children known by pid and start time, so that a reused pid is never touched."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pref_argilla.errors import ServerError

# Start times are exact to a clock tick, and move by as much when the clock is set.
SAME_START_SECONDS = 1.0
# How long to wait for processes that were ended by force.
FORCE_SECONDS = 5.0


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
    return ProcessIdentity(name, child.pid, _started(child.pid))


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether that very process runs: the pid alone may belong to another process by now."""
    return _is_alive(identity.pid) and abs(_started(identity.pid) - identity.started) < SAME_START_SECONDS


def stop(identities: Iterable[ProcessIdentity], *, grace_seconds: float) -> None:
    """Ask each process to end and end by force what is left after ``grace_seconds``; return when all are gone.

    A process's descendants go with it, also those it left behind when it was killed or made while it was asked.
    """
    wanted = list(identities)
    for identity in wanted:
        if is_alive(identity):
            _send(identity.pid, signal.SIGTERM)
    leaders = {identity.pid for identity in wanted}
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline + FORCE_SECONDS:
        left = [pid for identity in wanted for pid in _session_of(identity)]
        if not left:
            return
        if time.monotonic() > deadline or leaders.isdisjoint(left):
            for pid in left:
                _send(pid, signal.SIGKILL)
        time.sleep(0.05)


def _session_of(identity: ProcessIdentity) -> list[int]:
    """The live processes of the session that ``identity`` leads or led.

    The kernel gives a pid to nobody else while its session has members; so where another process has the pid now, the
    session that we started is empty.
    """
    psutil = import_psutil()
    if _is_alive(identity.pid) and not is_alive(identity):
        return []
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == identity.pid and _is_alive(pid):
                members.append(pid)
    return members


def _is_alive(pid: int) -> bool:
    psutil = import_psutil()
    try:
        if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            return True
    except psutil.NoSuchProcess:
        return False
    # A child of this very process stays a zombie until its exit is collected; anybody else's is init's business.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return False


def _started(pid: int) -> float:
    psutil = import_psutil()
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0.0


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
