"""Fixtures that several folders of tests share: one real embedded Argilla for the whole run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pref_argilla.server import EmbeddedServer
from running_argilla import ArgillaServer, free_port


def pytest_configure() -> None:
    # A run that a script put into the background ignores Ctrl+C, and so would every command that these tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server_environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where server environments are made, once in a run; uv's cache makes that a matter of seconds."""
    return tmp_path_factory.mktemp("server-environments")


@pytest.fixture(scope="session")
def argilla_server(tmp_path_factory: pytest.TempPathFactory, server_environments: Path) -> Iterator[ArgillaServer]:
    server = EmbeddedServer(tmp_path_factory.mktemp("argilla"), server_environments, base_environ=os.environ)
    running = server.up(port=free_port())
    try:
        keys = server.credentials()
        yield ArgillaServer(server, running.url, keys.username, keys.password, keys.api_key)
    finally:
        server.down()
