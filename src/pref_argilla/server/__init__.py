"""The embedded Argilla: the real argilla-server in an environment of its own, started and stopped by one object.

``EmbeddedServer(data_dir)`` is the whole interface; everything the server writes is below ``data_dir``.
"""

from __future__ import annotations

from pref_argilla.server.embedded import (
    EmbeddedServer,
    ProcessStatus,
    RunningServer,
    ServerState,
    ServerStatus,
)
from pref_argilla.server.secrets import Credentials

__all__ = ["Credentials", "EmbeddedServer", "ProcessStatus", "RunningServer", "ServerState", "ServerStatus"]
