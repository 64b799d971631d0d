"""Starts, watches and stops the embedded Argilla: Redis on a unix socket, the server with its UI, one worker.

Each process is detached and recorded (pid and start time) the moment it exists, so that whatever happens to the command
that started it, the next command finds it. Layout of ``data_dir`` (mode 0700)::

    argilla.db  search.db    Argilla's data, and the search engine's derived index (can be deleted; it is made again)
    credentials.json         owner's password, API key, session key (0600)
    server.json              host, port and the processes
    app/  tmp/  redis/       code in use, scratch files, the worker's queue
    logs/                    setup.log, redis.log, server.log, worker.log
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from secrets import token_hex

from pref_argilla.errors import ServerError
from pref_argilla.resources import embedded_code, setup_file
from pref_argilla.server.environment import ensure_environment, environment_python, redis_executable
from pref_argilla.server.locks import exclusive
from pref_argilla.server.processes import ProcessIdentity, import_psutil, is_alive, spawn, stop
from pref_argilla.server.secrets import Credentials, Secrets, ensure_secrets, read_secrets, write_private

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 6900
LOGS = ("setup", "redis", "server", "worker")
MAX_LOG_BYTES = 5_000_000
# sockaddr_un.sun_path holds 108 bytes with its final NUL on Linux, 104 on macOS.
MAX_SOCKET_BYTES = 100
SOCKET_FOLDER_PREFIX = "pref-argilla-"
COMMAND_WAIT_SECONDS = 300.0
# Unlike Argilla's 5 s: a push may hold SQLite's write lock for seconds while people's answers wait for it.
SQLITE_TIMEOUT_SECONDS = 60
# Argilla refuses chat messages of more than 20,000 characters unless told otherwise; prompts can be longer.
MAX_CHAT_CHARACTERS = 1_000_000
# What of the caller's environment the server's processes get; nothing else, and none of its ARGILLA_* or keys.
PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE")

Progress = Callable[[str], None]


class ServerState(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers. ``url`` is where this machine reaches it, without a final slash."""

    url: str
    host: str
    port: int
    data_dir: Path
    already_running: bool


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    name: str
    pid: int
    alive: bool


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """``detail`` says in one sentence what is wrong when ``state`` is degraded, and ``next_step`` what to do."""

    state: ServerState
    url: str = ""
    host: str = ""
    port: int = 0
    processes: tuple[ProcessStatus, ...] = ()
    detail: str = ""
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class _Record:
    """The content of ``server.json``."""

    host: str
    port: int
    socket: str
    processes: tuple[ProcessIdentity, ...]


def _silent(message: str) -> None:
    del message


class EmbeddedServer:
    """The embedded Argilla whose data is in ``data_dir``.

    ``environment_dir`` is where server environments are made (default: the user's data directory, shared by all
    projects). ``base_environ`` is the caller's environment; only ``PASSED_ON`` of it reaches the server.
    """

    def __init__(
        self, data_dir: Path, environment_dir: Path | None = None, *, base_environ: Mapping[str, str] | None = None
    ) -> None:
        self._data_dir = data_dir.expanduser().resolve()
        self._environment_dir = environment_dir
        self._base_environ = dict(base_environ or {})

    @property
    def data_dir(self) -> Path:
        return self._data_dir

    def up(
        self,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        *,
        progress: Progress = _silent,
        timeout_seconds: float = 120.0,
    ) -> RunningServer:
        """Start the server and return when its UI answers; one that runs already is left as it is, wherever it listens.

        Raises ``ServerError`` with nothing left running if it cannot be started, and stops what it started when
        interrupted.
        """
        import_psutil()
        self._make_folders()
        with self._exclusive(progress):
            record = self._read_record()
            if record is not None:
                if self._problem(record) == "":
                    return self._running(record, already_running=True)
                if any(is_alive(process) for process in record.processes):
                    progress("Stopping what is left of an earlier start")
                self._stop(record)
            self._require_free_port(host, port)
            environment = ensure_environment(
                self._environments(),
                setup_file("server.lock"),
                base_environ=self._base_environ,
                log=self._log("setup"),
                progress=progress,
            )
            return self._start(environment, host, port, progress, timeout_seconds)

    def down(self, *, progress: Progress = _silent, grace_seconds: float = 10.0) -> bool:
        """Stop every process of this server; False if none was running. All data stays."""
        if not self._data_dir.exists():
            return False
        with self._exclusive(progress):
            record = self._read_record()
            if record is None:
                return False
            ran = any(is_alive(process) for process in record.processes)
            if ran:
                progress("Stopping the server")
            self._stop(record, grace_seconds)
            return ran

    def status(self) -> ServerStatus:
        record = self._read_record()
        if record is None:
            return ServerStatus(ServerState.STOPPED)
        processes = tuple(ProcessStatus(one.name, one.pid, is_alive(one)) for one in record.processes)
        if not any(process.alive for process in processes):
            return ServerStatus(ServerState.STOPPED)
        problem = self._problem(record)
        return ServerStatus(
            ServerState.DEGRADED if problem else ServerState.RUNNING,
            _url(record.host, record.port),
            record.host,
            record.port,
            processes,
            problem,
            "Run `pref-argilla server up`: it starts the server again with all its data." if problem else "",
        )

    def credentials(self) -> Credentials:
        """The owner's user name, password and API key. Raises ``ServerError`` if the server was never started."""
        secrets = read_secrets(self._credentials_file())
        if secrets is None:
            raise ServerError(
                f"There are no credentials in {self._data_dir}.",
                cause="The embedded Argilla has not been started yet.",
                next_step="Run: pref-argilla server up",
            )
        return secrets.credentials

    def log_lines(self, count: int = 100, name: str = "server") -> list[str]:
        """The last ``count`` lines of the log ``name`` (setup, redis, server or worker), oldest first."""
        if name not in LOGS:
            raise ServerError(f"There is no log named {name}.", next_step=f"Logs are: {', '.join(LOGS)}")
        return _tail(self._log(name), count)

    # Where things are.

    def _environments(self) -> Path:
        if self._environment_dir is not None:
            return self._environment_dir.expanduser().resolve()
        import platformdirs

        return Path(platformdirs.user_data_path("pref-argilla")) / "server"

    def _log(self, name: str) -> Path:
        return self._data_dir / "logs" / f"{name}.log"

    def _credentials_file(self) -> Path:
        return self._data_dir / "credentials.json"

    def _record_file(self) -> Path:
        return self._data_dir / "server.json"

    def _make_folders(self) -> None:
        if "?" in str(self._data_dir):
            raise ServerError(
                f"The server's folder {self._data_dir} cannot be used.",
                cause="Its path has a question mark, which ends a path in a database's address.",
                next_step="Choose another folder.",
            )
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            self._data_dir.chmod(0o700)
            (self._data_dir / "redis").mkdir(exist_ok=True)
            (self._data_dir / "logs").mkdir(exist_ok=True)
        except OSError as exc:
            raise ServerError(
                f"The server's folder {self._data_dir} cannot be used.",
                cause=f"{exc.strerror or exc}.",
                next_step="Make it writable, or choose another folder.",
            ) from exc

    @contextlib.contextmanager
    def _exclusive(self, progress: Progress) -> Iterator[None]:
        with exclusive(
            self._data_dir / "lock",
            wait_seconds=COMMAND_WAIT_SECONDS,
            busy="Another command is starting or stopping this server.",
            notify=progress,
        ):
            yield

    # Starting.

    def _start(
        self, environment: Path, host: str, port: int, progress: Progress, timeout_seconds: float
    ) -> RunningServer:
        secrets = ensure_secrets(self._credentials_file())
        self._tidy()
        self._install_code()
        socket_path = self._socket_path()
        record = _Record(host, port, str(socket_path), ())
        deadline = time.monotonic() + timeout_seconds
        python = str(environment_python(environment))
        redis = redis_executable(environment)
        if redis is None:
            raise ServerError(
                f"The server's environment {environment} is damaged.",
                cause="Its Redis program is gone.",
                next_step=f"Remove the folder {environment} and run `pref-argilla server up` again.",
            )
        env = self._process_environ(secrets, socket_path)
        try:
            progress("Starting Redis")
            record = self._spawn(record, "redis", self._redis_command(redis, socket_path), env)
            self._wait(record, lambda: _redis_answers(socket_path), deadline)
            progress("Starting the server and its worker")
            serve = ["serve", "--credentials", str(self._credentials_file()), "--host", host, "--port", str(port)]
            record = self._spawn(record, "server", [python, "-m", "argilla_embedded", *serve], env)
            worker = f"worker-{token_hex(4)}"
            record = self._spawn(record, "worker", [python, "-m", "argilla_embedded", "worker", "--name", worker], env)
            self._wait(record, lambda: _web_answers(host, port), deadline)
            self._wait(record, lambda: _works(socket_path, worker), deadline)
        except BaseException:
            self._stop(self._read_record() or record)
            raise
        return self._running(record, already_running=False)

    def _spawn(self, record: _Record, name: str, command: Sequence[str], env: Mapping[str, str]) -> _Record:
        identity = spawn(name, command, env=env, cwd=self._data_dir, log=self._log(name))
        record = _Record(record.host, record.port, record.socket, (*record.processes, identity))
        write_private(self._record_file(), json.dumps(asdict(record)) + "\n")
        return record

    def _wait(self, record: _Record, ready: Callable[[], bool], deadline: float) -> None:
        while not ready():
            for process in record.processes:
                if not is_alive(process):
                    raise self._died(process.name)
            if time.monotonic() > deadline:
                raise ServerError(
                    "The embedded Argilla did not answer in time.",
                    cause="Last words of the server: " + (" / ".join(_tail(self._log("server"), 3)) or "none."),
                    next_step="See `pref-argilla server logs`, then run `pref-argilla server up` again.",
                )
            time.sleep(0.05)

    def _died(self, name: str) -> ServerError:
        return ServerError(
            f"The {name} process of the embedded Argilla ended while starting.",
            cause="Its last words: " + (" / ".join(_tail(self._log(name), 5)) or "none."),
            next_step=f"Read {self._log(name)}, then run `pref-argilla server up` again.",
        )

    def _require_free_port(self, host: str, port: int) -> None:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as exc:
            raise ServerError(
                f"The server cannot listen on {host} port {port}.",
                cause=f"{exc.strerror or exc}.",
                next_step=f"Choose another port, for example: pref-argilla server up --port {port + 1}",
            ) from exc

    def _process_environ(self, secrets: Secrets, socket_path: Path) -> dict[str, str]:
        env = {key: self._base_environ[key] for key in PASSED_ON if key in self._base_environ}
        env.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
        env.setdefault("HOME", str(self._data_dir))
        return env | {
            "PYTHONPATH": str(self._data_dir / "app"),
            "PYTHONNOUSERSITE": "1",
            "PYTHONUNBUFFERED": "1",
            # The server copies its UI into a new temporary folder at each start and leaves it there.
            "TMPDIR": str(self._data_dir / "tmp"),
            "ARGILLA_HOME_PATH": str(self._data_dir),
            "ARGILLA_DATABASE_URL": f"sqlite+aiosqlite:///{self._data_dir / 'argilla.db'}?check_same_thread=False",
            "ARGILLA_DATABASE_SQLITE_TIMEOUT": str(SQLITE_TIMEOUT_SECONDS),
            "ARGILLA_SEARCH_ENGINE": "sql",
            "ARGILLA_REDIS_URL": f"unix://{socket_path}",
            "ARGILLA_AUTH_SECRET_KEY": secrets.session_key,
            # No other site may call this server from a browser.
            "ARGILLA_CORS_ORIGINS": "[]",
            "ARGILLA_ENABLE_TELEMETRY": "false",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "ARGILLA_MAX_MESSAGE_LENGTH": str(MAX_CHAT_CHARACTERS),
            "ARGILLA_SHOW_HUGGINGFACE_SPACE_PERSISTENT_STORAGE_WARNING": "false",
        }

    def _redis_command(self, executable: Path, socket_path: Path) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(socket_path),
            "unixsocketperm": "700",
            "daemonize": "no",
            "dir": str(self._data_dir / "redis"),
            # The queue of waiting jobs survives a crash.
            "appendonly": "yes",
            "save": "",
            # A fork for rewriting the file must not fail where memory overcommit is off.
            "stop-writes-on-bgsave-error": "no",
        }
        return [str(executable), *(word for key, value in options.items() for word in (f"--{key}", value))]

    def _socket_path(self) -> Path:
        path = self._data_dir / "redis.sock"
        # The path is part of Redis's URL too, so anything unusual in it goes the other way as well.
        if len(str(path)) <= MAX_SOCKET_BYTES and re.fullmatch(r"[A-Za-z0-9/._-]+", str(path)):
            return path
        # mkdtemp makes a folder of mode 0700 with an unpredictable name.
        return Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER_PREFIX, dir="/tmp")) / "redis.sock"

    def _tidy(self) -> None:
        scratch = self._data_dir / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        for name in LOGS:
            log = self._log(name)
            if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
                log.replace(log.with_suffix(".log.1"))

    def _install_code(self) -> None:
        """Copy ``argilla_embedded`` beside the data, so that the code in use is this version's, whatever made the rest."""
        target = self._data_dir / "app"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(
            embedded_code(), target / "argilla_embedded", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )

    # Watching and stopping.

    def _read_record(self) -> _Record | None:
        try:
            data = json.loads(self._record_file().read_text(encoding="utf-8"))
            processes = tuple(ProcessIdentity(one["name"], one["pid"], one["started"]) for one in data["processes"])
            return _Record(data["host"], data["port"], data["socket"], processes)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as exc:
            raise ServerError(
                f"The file {self._record_file()} cannot be read.",
                cause="It may have been edited or cut off.",
                next_step="End the server's processes yourself, remove the file, and run `pref-argilla server up`.",
            ) from exc

    def _problem(self, record: _Record) -> str:
        """What is wrong with a server that should be running, or "" if it is well."""
        recorded = {process.name for process in record.processes}
        for name in ("redis", "server", "worker"):
            if name not in recorded:
                return f"The {name} process was never started."
        for process in record.processes:
            if not is_alive(process):
                return f"The {process.name} process is dead."
        if not _redis_answers(Path(record.socket)):
            return "Redis does not answer."
        if not _web_answers(record.host, record.port):
            return "The server does not answer."
        return ""

    def _running(self, record: _Record, *, already_running: bool) -> RunningServer:
        return RunningServer(_url(record.host, record.port), record.host, record.port, self._data_dir, already_running)

    def _stop(self, record: _Record, grace_seconds: float = 10.0) -> None:
        # The queue outlives those who use it.
        stop([one for one in record.processes if one.name != "redis"], grace_seconds=grace_seconds)
        stop([one for one in record.processes if one.name == "redis"], grace_seconds=grace_seconds)
        socket_path = Path(record.socket)
        with contextlib.suppress(FileNotFoundError):
            socket_path.unlink()
        if socket_path.parent.name.startswith(SOCKET_FOLDER_PREFIX):
            shutil.rmtree(socket_path.parent, ignore_errors=True)
        shutil.rmtree(self._data_dir / "tmp", ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            self._record_file().unlink()


def _url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return f"http://{reachable}:{port}"


def _redis_answers(path: Path) -> bool:
    return _ask_redis(path, "PING") == "+PONG"


def _works(path: Path, worker: str) -> bool:
    """Whether the worker of that name has told Redis that it is there."""
    return _ask_redis(path, f"SISMEMBER rq:workers rq:worker:{worker}") == ":1"


def _ask_redis(path: Path, command: str) -> str:
    """The first line of Redis's answer, or "" if there is none."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(str(path))
            client.sendall(f"{command}\r\n".encode())
            return client.recv(256).decode("utf-8", "replace").split("\r\n")[0]
    except OSError:
        return ""


def _web_answers(host: str, port: int) -> bool:
    """Whether both the API and the UI's page come."""
    reachable = _url(host, port).removeprefix("http://").rsplit(":", 1)[0].strip("[]")
    for path, expected in (("/api/v1/status", "application/json"), ("/", "text/html")):
        connection = http.client.HTTPConnection(reachable, port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if response.status != 200 or expected not in response.getheader("content-type", "") or not body:
            return False
    return True


def _tail(path: Path, count: int) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 400 * count - 4096))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
