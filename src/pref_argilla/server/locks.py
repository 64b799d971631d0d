"""An exclusive lock between processes that the kernel releases when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pref_argilla.errors import ServerError


@contextmanager
def exclusive(path: Path, *, wait_seconds: float, busy: str, notify: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file ``path``; wait up to ``wait_seconds`` for another holder, saying so once through ``notify``.

    Raises ``ServerError`` whose text is ``busy`` when the other holder does not finish in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + wait_seconds
        told = False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServerError(
                        busy,
                        cause=f"Another command has held {path} for more than {wait_seconds:.0f} seconds.",
                        next_step="Wait for it to finish, or end it, and try again.",
                    ) from None
                if not told:
                    notify("Another command is busy with this server; waiting for it")
                    told = True
                time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)
