"""A wire that fails on demand: a real HTTP proxy before a real server."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# What a fault does to one request. "lost answer" is the cruel one: the server has done the work, the client never hears it.
FAULTS = ("reset", "lost answer", "half answer", "500", "503", "hang")
HANG_SECONDS = 1.5


@dataclass(slots=True)
class Wire:
    """``choose(method, path, body)`` names the fault of a request, or None; ``log`` holds (method, path, fault)."""

    url: str
    choose: Callable[[str, str, bytes], str | None] = lambda method, path, body: None
    log: list[tuple[str, str, str | None]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, method: str, part: str) -> int:
        return sum(m == method and part in p for m, p, _ in self.log)


@contextmanager
def faulty_wire(target: str) -> Iterator[Wire]:
    address = urlsplit(target)
    assert address.hostname is not None and address.port is not None
    host, port = address.hostname, address.port

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            del format, args

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with wire.lock:
                fault = wire.choose(self.command, self.path, body)
                wire.log.append((self.command, self.path, fault))
            if fault == "reset":
                self.reset()
                return
            if fault in ("500", "503"):
                self.reply(int(fault), b'{"detail":"injected"}')
                return
            if fault == "hang":
                time.sleep(HANG_SECONDS)
                self.reset()
                return
            connection = http.client.HTTPConnection(host, port, timeout=120)
            try:
                headers = {
                    k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")
                }
                try:
                    connection.request(self.command, self.path, body or None, headers)
                    answer = connection.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):
                    # The server behind the wire is down.
                    self.reset()
                    return
            finally:
                connection.close()
            if fault == "lost answer":
                self.reset()
                return
            self.reply(answer.status, content, half=fault == "half answer")

        def reply(self, status: int, content: bytes, *, half: bool = False) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if half else content)
            if half:
                self.reset()

        def reset(self) -> None:
            # Linger 0 makes close() send RST instead of FIN.
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            # A client that left is what these tests are about.
            del request, client_address

    server = Server(("127.0.0.1", 0), Handler)
    wire = Wire(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
