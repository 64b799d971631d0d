"""A real OpenAI-compatible endpoint on 127.0.0.1 that does what a script says, to inject faults and to count money.

It runs in a process of its own, so it sees what a client that is killed really asked for and really was billed for:

    python tests/endpoint.py --port 0 --latency 0.5 [--no-idempotency] [--key KEY] [--model MODEL]...

prints one line, its base URL, and answers until it is terminated (or until standard input closes, with
``--until-stdin-closes``). ``POST /script`` takes a Script as JSON and starts counting anew; ``GET /stats`` gives the
counts, ``GET /requests`` the bodies received.

An answer is billed when the endpoint begins to write it, whether or not it arrives. With idempotency a request with the
same ``Idempotency-Key`` gets the same answer and is not billed again; ``--no-idempotency`` bills each.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import socket
import struct
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any


@dataclass
class Script:
    """What the endpoint does. A fault is a dict with ``kind``:

    ``{"kind": "ok"}``                  an answer; any of ``content``, ``finish_reason``, ``refusal``, ``message``,
                                        ``usage``, ``body`` in it replaces that part
    ``{"kind": "status", "status": n}`` an error, with ``headers``, ``error`` (the error object), ``latency``, or
                                        ``retry_after_date`` (seconds from now, sent as an HTTP date)
    ``{"kind": "refuse"}``              the connection is closed before anything is read as an answer
    ``{"kind": "reset"}``               reset in the middle of the answer
    ``{"kind": "half"}``                fewer bytes than Content-Length says, then closed
    ``{"kind": "half_json"}``           the right Content-Length, and the JSON is cut in half
    ``{"kind": "html"}``                a web page with status 200
    ``{"kind": "silence"}``             no answer at all
    ``{"kind": "drip"}``                a byte every 50 ms

    ``sequence`` is used up by the chat requests in the order of arrival. After that ``by_text`` (a part of the last
    message → fault) holds, then ``shares`` (fault kind or status → probability, drawn with ``seed``).
    """

    latency: float = 0.0
    idempotency: bool = True
    key: str = ""
    models: list[str] = field(default_factory=list)
    sequence: list[dict[str, Any]] = field(default_factory=list)
    by_text: dict[str, dict[str, Any]] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    prompt_tokens: int = 10
    completion_tokens: int = 20
    # More than so many at once get 429 with this Retry-After; 0 is no limit.
    most_at_once: int = 0
    retry_after: float = 0.2


class Endpoint:
    def __init__(self, script: Script) -> None:
        self._connections: set[asyncio.Task[None]] = set()
        self.restart(script)

    def restart(self, script: Script) -> None:
        self.script = script
        self.sequence = list(script.sequence)
        self.random = random.Random(script.seed)
        self.received = self.delivered = self.in_flight = self.most_in_flight = 0
        self.received_by_key: Counter[str] = Counter()
        self.billed_by_key: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.answers: dict[str, dict[str, Any]] = {}
        self.bodies: list[dict[str, Any]] = []
        self.arrivals: list[float] = []

    def stats(self) -> dict[str, Any]:
        billed = self.billed_by_key
        return {
            "requests": self.received,
            "delivered": self.delivered,
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "billed": sum(billed.values()),
            "billed_most_for_one_key": max(billed.values(), default=0),
            "billed_by_key": dict(billed),
            "requests_by_key": dict(self.received_by_key),
            "statuses": dict(self.statuses),
        }

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while True:
                request = await _read_request(reader)
                if request is None or not await self._answer(*request, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        if path == "/stats":
            return await _send(writer, 200, self.stats())
        if path == "/requests":
            return await _send(writer, 200, {"bodies": self.bodies, "arrivals": self.arrivals})
        if path == "/script" and method == "POST":
            self.restart(Script(**json.loads(content)))
            return await _send(writer, 200, {})
        if self.script.key and headers.get("authorization") != f"Bearer {self.script.key}":
            said = f"Incorrect API key provided: {headers.get('authorization', '').removeprefix('Bearer ')}"
            return await _send(writer, 401, {"error": {"message": said, "code": "invalid_api_key"}})
        if path == "/v1/models" and method == "GET":
            rows = [{"id": name, "object": "model"} for name in self.script.models]
            return await _send(writer, 200, {"object": "list", "data": rows})
        if path != "/v1/chat/completions" or method != "POST":
            return await _send(writer, 404, {"error": {"message": f"no such path: {path}"}})
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._chat(headers, json.loads(content), reader, writer)
        finally:
            self.in_flight -= 1

    async def _chat(
        self,
        headers: dict[str, str],
        body: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        script = self.script
        key = headers.get("idempotency-key", "")
        self.received += 1
        self.received_by_key[key] += 1
        self.bodies.append(body)
        self.arrivals.append(time())
        if script.models and body["model"] not in script.models:
            said = f"The model `{body['model']}` does not exist"
            return await _send(writer, 404, {"error": {"message": said, "code": "model_not_found"}})
        if script.most_at_once and self.in_flight > script.most_at_once:
            self.statuses["429"] += 1
            return await _send(
                writer, 429, {"error": {"message": "slow down"}}, {"Retry-After": str(script.retry_after)}
            )
        fault = self._fault(body)
        kind = fault["kind"]
        if kind == "refuse":
            _reset(writer)
            return False
        if kind == "silence":
            await reader.read(1)
            return False
        if kind == "status":
            await asyncio.sleep(fault.get("latency", 0.0))
            self.statuses[str(fault["status"])] += 1
            extra = dict(fault.get("headers", {}))
            if "retry_after_date" in fault:
                extra["Retry-After"] = formatdate(time() + fault["retry_after_date"], usegmt=True)
            error = fault.get("error", {"message": f"scripted {fault['status']}"})
            return await _send(writer, fault["status"], {"error": error}, extra)
        answer = self._write_answer(key, body, fault)
        await asyncio.sleep(script.latency)
        payload = json.dumps(answer).encode()
        if kind == "reset":
            writer.write(_head(200, len(payload)) + payload[: len(payload) // 2])
            await writer.drain()
            # Long enough for the client to have read what was sent, which a reset would take back.
            await asyncio.sleep(0.02)
            _reset(writer)
            return False
        if kind == "half":
            writer.write(_head(200, len(payload)) + payload[: len(payload) // 2])
            await writer.drain()
            return False
        if kind == "half_json":
            payload = payload[: len(payload) // 2]
            writer.write(_head(200, len(payload)) + payload)
            await writer.drain()
            return True
        if kind == "html":
            page = b"<html><script>alert(1)</script>gateway</html>"
            writer.write(_head(200, len(page), "text/html") + page)
            await writer.drain()
            return True
        if kind == "drip":
            writer.write(_head(200, len(payload)))
            for byte in payload:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
            return True
        kept_open = await _send(writer, 200, answer)
        self.delivered += 1
        return kept_open

    def _fault(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.sequence:
            return self.sequence.pop(0)
        text = body["messages"][-1]["content"]
        for part, fault in self.script.by_text.items():
            if part in text:
                return fault
        draw = self.random.random()
        for name, share in self.script.shares.items():
            draw -= share
            if draw < 0:
                if name.isdigit():
                    return {
                        "kind": "status",
                        "status": int(name),
                        "headers": {"Retry-After": str(self.script.retry_after)},
                    }
                return {"kind": name}
        return {"kind": "ok"}

    def _write_answer(self, key: str, body: dict[str, Any], fault: dict[str, Any]) -> dict[str, Any]:
        remember = bool(key) and self.script.idempotency
        if remember and key in self.answers:
            return self.answers[key]
        self.billed_by_key[key] += 1
        serial = self.received
        asked = body["messages"][-1]["content"]
        digest = hashlib.sha256(f"{key} {serial} {asked}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
        message = {"role": "assistant", "content": f"Answer {digest} to: {asked[:200]}", "refusal": None}
        for name in ("content", "refusal"):
            if name in fault:
                message[name] = fault[name]
        answer: dict[str, Any] = {
            "id": f"chatcmpl-{serial}",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": fault.get("message", message),
                    "finish_reason": fault.get("finish_reason", "stop"),
                }
            ],
            "usage": {
                "prompt_tokens": self.script.prompt_tokens,
                "completion_tokens": self.script.completion_tokens,
                "total_tokens": self.script.prompt_tokens + self.script.completion_tokens,
            },
        }
        if "usage" in fault:
            answer["usage"] = fault["usage"]
        answer = fault.get("body", answer)
        if remember:
            self.answers[key] = answer
        return answer


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    return method, path, headers, await reader.readexactly(int(headers.get("content-length", "0")))


def _head(status: int, length: int, kind: str = "application/json", extra: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in (extra or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _send(writer: asyncio.StreamWriter, status: int, body: Any, extra: dict[str, str] | None = None) -> bool:
    payload = json.dumps(body).encode()
    writer.write(_head(status, len(payload), extra=extra) + payload)
    await writer.drain()
    return True


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with a TCP reset instead of an orderly end."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def serve(script: Script, port: int, until_stdin_closes: bool) -> None:
    endpoint = Endpoint(script)
    server = await asyncio.start_server(endpoint.connection, "127.0.0.1", port, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    if not until_stdin_closes:
        await server.serve_forever()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


class RunningEndpoint:
    """The endpoint in another process, steered over HTTP."""

    def __init__(self, base_url: str, process: subprocess.Popen[bytes]) -> None:
        self.base_url = base_url
        self.process = process

    def play(self, **script: Any) -> None:
        """Starts anew with this script (the fields of Script); counts are 0 again."""
        self._call("/script", json.dumps(asdict(Script(**script))).encode())

    def stats(self) -> dict[str, Any]:
        return self._call("/stats")

    def bodies(self) -> list[dict[str, Any]]:
        bodies: list[dict[str, Any]] = self._call("/requests")["bodies"]
        return bodies

    def arrivals(self) -> list[float]:
        arrivals: list[float] = self._call("/requests")["arrivals"]
        return arrivals

    def _call(self, path: str, content: bytes | None = None) -> dict[str, Any]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.base_url.removesuffix("/v1") + path, content, timeout=30) as answer:
            result: dict[str, Any] = json.load(answer)
            return result


@contextmanager
def running_endpoint(*arguments: str) -> Iterator[RunningEndpoint]:
    """Starts the endpoint in its own process and ends it afterwards, also when this process is killed."""
    command = [sys.executable, str(Path(__file__).resolve()), "--until-stdin-closes", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            base_url = process.stdout.readline().decode().strip()
            assert base_url.startswith("http://"), "the scripted endpoint did not start"
            yield RunningEndpoint(base_url, process)
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until an answer comes")
    parser.add_argument("--no-idempotency", action="store_true")
    parser.add_argument("--key", default="", help="the only key that is let in; any by default")
    parser.add_argument("--model", action="append", default=[], help="a model that exists; any by default")
    parser.add_argument("--script", default="{}", help="further fields of Script as JSON")
    parser.add_argument("--until-stdin-closes", action="store_true")
    given = parser.parse_args()
    script = Script(
        **{
            "latency": given.latency,
            "idempotency": not given.no_idempotency,
            "key": given.key,
            "models": given.model,
            **json.loads(given.script),
        }
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(script, given.port, given.until_stdin_closes))


if __name__ == "__main__":
    main()
