"""Fixtures that several folders of tests share: one real embedded Argilla for the whole run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pref_argilla.server import EmbeddedServer
from running_argilla import ArgillaServer, free_port


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
