"""The embedded server from outside: started, found running, killed, damaged, stopped. Real processes throughout."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from pref_argilla.errors import ServerError
from pref_argilla.server import EmbeddedServer, RunningServer, ServerState
from running_argilla import Api, ArgillaServer, free_port

pytestmark = [pytest.mark.slow, pytest.mark.server]

TEXT = {"type": "text", "use_markdown": False}
RATING = {"type": "rating", "options": [{"value": value} for value in range(1, 6)]}


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Every process that was started for the server in ``data_dir``, found without its records.

    All of them work in that folder; Redis overwrites the environment it was given.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(data_dir) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def kill_all(data_dir: Path) -> None:
    processes = processes_of(data_dir)
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=10)


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "server"
    yield folder
    kill_all(folder)


def make(data_dir: Path, server_environments: Path) -> EmbeddedServer:
    return EmbeddedServer(data_dir, server_environments, base_environ=os.environ)


# Questions to the shared server.


def test_the_ui_and_the_api_answer(argilla_server: ArgillaServer) -> None:
    page = httpx.get(argilla_server.url)
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    assert "argilla" in page.text.lower()
    status = httpx.get(f"{argilla_server.url}/api/v1/status").json()
    assert status["version"] == "2.8.0"
    assert status["search_engine"]["name"] == "sql"


def test_a_second_up_says_that_it_runs(argilla_server: ArgillaServer) -> None:
    before = {process.pid for process in processes_of(argilla_server.server.data_dir)}
    again = argilla_server.server.up(port=free_port())
    assert again.already_running
    assert again.url == argilla_server.url
    assert {process.pid for process in processes_of(argilla_server.server.data_dir)} == before


def test_status_of_a_running_server(argilla_server: ArgillaServer) -> None:
    status = argilla_server.server.status()
    assert status.state is ServerState.RUNNING
    assert status.url == argilla_server.url
    assert [process.name for process in status.processes] == ["redis", "server", "worker"]
    assert all(process.alive for process in status.processes)


def test_only_this_machine_reaches_it(argilla_server: ArgillaServer) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in processes_of(argilla_server.server.data_dir)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", int(argilla_server.url.rsplit(":", 1)[1]))}


def test_other_sites_may_not_call_it(argilla_server: ArgillaServer) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "GET"}
        answer = httpx.request(method, f"{argilla_server.url}/api/v1/version", headers=headers)
        assert "access-control-allow-origin" not in answer.headers


def test_secret_files_are_private(argilla_server: ArgillaServer) -> None:
    folder = argilla_server.server.data_dir
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "credentials.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "redis.sock").parent.stat().st_mode) == 0o700


def test_secrets_are_random_and_stay_in_their_file(argilla_server: ArgillaServer) -> None:
    folder = argilla_server.server.data_dir
    kept = json.loads((folder / "credentials.json").read_text())
    hidden = [kept["password"], kept["api_key"], kept["session_key"]]
    assert all(len(value) >= 20 for value in hidden)
    keys = argilla_server.server.credentials()
    assert not any(value in repr(keys) for value in hidden)
    for log in (folder / "logs").iterdir():
        assert not any(value in log.read_text() for value in hidden)
    for process in processes_of(folder):
        assert not any(value in " ".join(process.cmdline()) for value in hidden)


def test_the_owner_signs_in_with_the_password(argilla_server: ArgillaServer) -> None:
    form = {"username": argilla_server.username, "password": argilla_server.password}
    token = httpx.post(f"{argilla_server.url}/api/v1/token", data=form).json()["access_token"]
    me = httpx.get(f"{argilla_server.url}/api/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
    assert (me["username"], me["role"]) == ("owner", "owner")


def test_the_worker_recounts_when_fewer_answers_are_wanted(argilla_server: ArgillaServer) -> None:
    with Api(argilla_server.url, argilla_server.api_key) as api:
        workspace = api.new_workspace()
        user = api.new_annotator(workspace)
        dataset = api.new_dataset(workspace, fields={"text": TEXT}, questions={"score": RATING}, min_submitted=2)
        response = {"user_id": user.id, "status": "submitted", "values": {"score": {"value": 3}}}
        api.add_records(dataset, [{"fields": {"text": "one"}, "responses": [response]}])

        def completed() -> int:
            return int(api.call("GET", f"/datasets/{dataset}/progress")["completed"])

        assert completed() == 0
        api.call("PATCH", f"/datasets/{dataset}", json={"distribution": {"strategy": "overlap", "min_submitted": 1}})
        wait_until(lambda: completed() == 1)


def test_the_servers_processes_get_nothing_they_need_not(tmp_path: Path, server_environments: Path) -> None:
    environ = {**os.environ, "OPENAI_API_KEY": "sk-secret", "ARGILLA_ENABLE_TELEMETRY": "1", "PYTHONPATH": "/x"}
    server = EmbeddedServer(tmp_path / "server", server_environments, base_environ=environ)
    server.up(port=free_port())
    try:
        [_, *others] = server.status().processes
        for process in others:
            seen = psutil.Process(process.pid).environ()
            assert "OPENAI_API_KEY" not in seen
            assert seen["ARGILLA_ENABLE_TELEMETRY"] == "false"
            assert seen["HF_HUB_DISABLE_TELEMETRY"] == "1"
            assert seen["PYTHONPATH"] == str(server.data_dir / "app")
    finally:
        assert server.down()
    assert processes_of(server.data_dir) == []
    assert server.status().state is ServerState.STOPPED
    assert not server.down()


def test_long_chat_messages_are_taken(argilla_server: ArgillaServer) -> None:
    with Api(argilla_server.url, argilla_server.api_key) as api:
        fields = {"talk": {"type": "chat", "use_markdown": True}}
        dataset = api.new_dataset(api.new_workspace(), fields=fields, questions={"score": RATING})
        message = {"role": "user", "content": "word " * 40_000 + "last"}
        api.add_records(dataset, [{"fields": {"talk": [message]}, "external_id": "long"}])
        assert api.find(dataset, "last") == ["long"]


def test_logs(argilla_server: ArgillaServer) -> None:
    assert any("Application startup complete" in line for line in argilla_server.server.log_lines())
    assert len(argilla_server.server.log_lines(1)) == 1
    assert argilla_server.server.log_lines(name="redis")
    with pytest.raises(ServerError, match="no log named other"):
        argilla_server.server.log_lines(name="other")


# Servers of their own.


def test_everything_survives_kill_9_of_everything(tmp_path: Path, server_environments: Path) -> None:
    # The path is too long for a unix socket, which then lives in a private folder elsewhere.
    data_dir = tmp_path / ("long name ü " * 8)
    server = make(data_dir, server_environments)
    try:
        first = server.up(port=free_port())
        socket_folder = Path(json.loads((data_dir / "server.json").read_text())["socket"]).parent
        assert socket_folder != data_dir
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
        keys = server.credentials()
        with Api(first.url, keys.api_key) as api:
            workspace = api.new_workspace()
            user = api.new_annotator(workspace)
            dataset = api.new_dataset(workspace, fields={"text": TEXT}, questions={"score": RATING})
            made = api.add_records(
                dataset, [{"fields": {"text": f"elma {n}"}, "external_id": f"r{n}"} for n in range(20)]
            )
            assert len(api.find(dataset, "elma")) == 20
        form = {"username": user.username, "password": user.password}
        token = httpx.post(f"{first.url}/api/v1/token", data=form).json()["access_token"]
        signed_in = {"Authorization": f"Bearer {token}"}
        answer = {"status": "submitted", "values": {"score": {"value": 4}}}
        path = f"/api/v1/records/{made[3]['id']}/responses"
        assert httpx.post(first.url + path, json=answer, headers=signed_in).status_code == 201

        kill_all(data_dir)
        assert server.status().state is ServerState.STOPPED
        second = server.up(port=free_port())

        assert not second.already_running
        assert not socket_folder.exists()
        assert server.credentials() == keys
        assert httpx.get(f"{second.url}/api/v1/me", headers=signed_in).json()["username"] == user.username
        with Api(second.url, keys.api_key) as api:
            records = api.call("GET", f"/datasets/{dataset}/records", params={"include": "responses"})
            assert records["total"] == 20
            assert [r["external_id"] for r in records["items"] if r["responses"]] == ["r3"]
            assert set(api.find(dataset, "elma")) == {f"r{n}" for n in range(20)}
            assert api.call("GET", f"/datasets/{dataset}/progress")["completed"] == 1

        _lost_credentials(server, keys.api_key)
    finally:
        server.down()
    assert processes_of(data_dir) == []


def _lost_credentials(server: EmbeddedServer, old_key: str) -> None:
    """Without its file the owner gets new keys, and the old ones open nothing any more."""
    server.down()
    (server.data_dir / "credentials.json").unlink()
    with pytest.raises(ServerError, match="no credentials"):
        server.credentials()
    running = server.up(port=free_port())
    new = server.credentials()
    me = httpx.get(f"{running.url}/api/v1/me", headers={"X-Argilla-Api-Key": new.api_key})
    assert me.json()["username"] == "owner"
    assert httpx.get(f"{running.url}/api/v1/me", headers={"X-Argilla-Api-Key": old_key}).status_code == 401


@pytest.mark.parametrize("name", ["redis", "worker"])
def test_a_dead_process_is_named_and_up_mends_it(data_dir: Path, server_environments: Path, name: str) -> None:
    server = make(data_dir, server_environments)
    server.up(port=free_port())
    [victim] = [process for process in server.status().processes if process.name == name]
    psutil.Process(victim.pid).kill()

    wait_until(lambda: server.status().state is ServerState.DEGRADED, 10)
    status = server.status()
    assert name in status.detail
    assert "server up" in status.next_step

    said: list[str] = []
    mended = server.up(port=free_port(), progress=said.append)
    assert not mended.already_running
    assert any("left of an earlier start" in line for line in said)
    assert server.status().state is ServerState.RUNNING
    assert victim.pid not in {process.pid for process in processes_of(data_dir)}
    server.down()
    assert processes_of(data_dir) == []


def test_two_ups_at_once_start_one_server(data_dir: Path, server_environments: Path) -> None:
    results: list[RunningServer] = []
    said: list[str] = []
    port = free_port()

    def start() -> None:
        results.append(make(data_dir, server_environments).up(port=port, progress=said.append))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.already_running for result in results) == [False, True]
    assert sum("Another command is busy" in line for line in said) == 1
    make(data_dir, server_environments).down()
    assert processes_of(data_dir) == []


def test_a_port_in_use(data_dir: Path, server_environments: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServerError) as caught:
            make(data_dir, server_environments).up(port=port)
    assert str(port) in caught.value.what
    assert "in use" in caught.value.cause
    assert "--port" in caught.value.next_step
    assert processes_of(data_dir) == []
    assert not (data_dir / "server.json").exists()


def test_a_server_that_dies_at_its_start_leaves_nothing(data_dir: Path, server_environments: Path) -> None:
    data_dir.mkdir()
    (data_dir / "argilla.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(ServerError) as caught:
        make(data_dir, server_environments).up(port=free_port())
    assert "server process" in caught.value.what
    assert "not a database" in caught.value.cause
    assert "server.log" in caught.value.next_step
    assert processes_of(data_dir) == []
    assert make(data_dir, server_environments).status().state is ServerState.STOPPED


def test_a_server_that_does_not_answer_in_time_leaves_nothing(data_dir: Path, server_environments: Path) -> None:
    with pytest.raises(ServerError, match="did not answer in time"):
        make(data_dir, server_environments).up(port=free_port(), timeout_seconds=1)
    assert processes_of(data_dir) == []


UP = """
import os, signal, sys
from pathlib import Path
from pref_argilla.server import EmbeddedServer
# Tests that run in the background of a shell inherit that Ctrl+C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
server = EmbeddedServer(Path(sys.argv[1]), Path(sys.argv[2]), base_environ=os.environ)
server.up(port=int(sys.argv[3]), progress=lambda line: print(line, flush=True))
"""


def _up_in_another_process(data_dir: Path, environments: Path, until: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(UP), str(data_dir), str(environments), str(free_port())]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert child.stdout is not None
    for line in child.stdout:
        if until in line:
            break
    return child


def test_ctrl_c_during_up_leaves_nothing(data_dir: Path, server_environments: Path) -> None:
    child = _up_in_another_process(data_dir, server_environments, "Starting the server")
    wait_until(lambda: len(processes_of(data_dir)) >= 3, 20)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert processes_of(data_dir) == []


def test_kill_9_of_up_is_mended_by_the_next(data_dir: Path, server_environments: Path) -> None:
    child = _up_in_another_process(data_dir, server_environments, "Starting the server")
    wait_until(lambda: len(processes_of(data_dir)) >= 3, 20)
    child.kill()
    child.communicate()
    assert processes_of(data_dir)
    server = make(data_dir, server_environments)
    running = server.up(port=free_port())
    assert server.status().state is ServerState.RUNNING
    assert httpx.get(running.url).status_code == 200
    server.down()
    assert processes_of(data_dir) == []


def test_a_server_outlives_the_command_that_started_it(data_dir: Path, server_environments: Path) -> None:
    child = _up_in_another_process(data_dir, server_environments, "Starting the server")
    child.communicate(timeout=120)
    assert child.returncode == 0
    server = make(data_dir, server_environments)
    assert server.status().state is ServerState.RUNNING
    assert server.up().already_running
    server.down()


# What needs no server.


def test_a_reused_pid_is_left_alone(data_dir: Path, server_environments: Path) -> None:
    """After a reboot the recorded pids may belong to anybody; here, to this very test."""
    data_dir.mkdir()
    stranger = {"name": "server", "pid": os.getpid(), "started": psutil.Process().create_time() - 100}
    record = {"host": "127.0.0.1", "port": 1, "socket": str(data_dir / "redis.sock"), "processes": [stranger]}
    (data_dir / "server.json").write_text(json.dumps(record))
    server = make(data_dir, server_environments)
    assert server.status().state is ServerState.STOPPED
    assert not server.down()
    assert not (data_dir / "server.json").exists()


def test_an_unreadable_record_is_an_error_with_a_next_step(data_dir: Path, server_environments: Path) -> None:
    data_dir.mkdir()
    (data_dir / "server.json").write_text("{")
    with pytest.raises(ServerError) as caught:
        make(data_dir, server_environments).status()
    assert "remove the file" in caught.value.next_step


def test_unreadable_credentials_are_an_error_with_a_next_step(data_dir: Path, server_environments: Path) -> None:
    data_dir.mkdir()
    (data_dir / "credentials.json").write_text(json.dumps({"username": secrets.token_hex(4)}))
    with pytest.raises(ServerError) as caught:
        make(data_dir, server_environments).credentials()
    assert "Remove the file" in caught.value.next_step


def test_a_folder_that_cannot_be_made(tmp_path: Path, server_environments: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="cannot be used"):
        make(tmp_path / "file" / "server", server_environments).up(port=free_port())


def test_a_long_log_is_put_aside(data_dir: Path, server_environments: Path) -> None:
    (data_dir / "logs").mkdir(parents=True)
    log = data_dir / "logs" / "server.log"
    log.write_bytes(b"x" * 5_000_001)
    (data_dir / "argilla.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(ServerError):
        make(data_dir, server_environments).up(port=free_port())
    assert log.with_suffix(".log.1").stat().st_size == 5_000_001
    assert log.stat().st_size < 100_000


def test_without_the_extra(data_dir: Path, server_environments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ServerError) as caught:
        make(data_dir, server_environments).up(port=free_port())
    assert "pip install 'pref-argilla[server]'" in caught.value.next_step
    assert not data_dir.exists()
