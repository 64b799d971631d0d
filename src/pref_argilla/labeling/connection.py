"""An authenticated connection to an Argilla server, and the one place where its errors become ours.

The SDK authenticates and offers workspaces, users and settings; ``request`` speaks raw HTTP through the SDK's own client,
because the SDK drops the rank of every option in a ranking.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from pref_argilla.errors import (
    ConfigError,
    LabelingAccessError,
    LabelingDataError,
    LabelingError,
    LabelingUnreachableError,
)

if TYPE_CHECKING:
    import argilla
    import httpx

# How long a request is tried again while the server does not answer: long enough for a restart.
PATIENCE_SECONDS = 90.0
# A server error that comes back this often on the same request is the request's own fault.
SERVER_ERROR_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class ArgillaAddress:
    """Where a server is and the key to it; the key is never shown.

    Raises ConfigError for an address, LabelingAccessError for a key, that cannot be one: checked here, before anything
    can repeat them in a message.
    """

    url: str
    api_key: str = field(repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid or "@" in parts.netloc:
            raise ConfigError(
                f"The address of the Argilla server {'holds a password' if valid else 'is not one'}.",
                cause="It must look like https://argilla.example.com, without user name and password.",
                next_step="Correct [argilla] url or ARGILLA_API_URL; the key goes into ARGILLA_API_KEY.",
            )
        key = self.api_key
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise LabelingAccessError(
                "The Argilla API key holds characters that no key has (blanks, line ends or letters beyond ASCII).",
                next_step="Copy it again from 'My settings' in Argilla into ARGILLA_API_KEY.",
            )


class RefusedRequestError(LabelingDataError):
    """The server understood a request and refused it (HTTP 4xx or a repeated 500): ``status`` and its ``detail``."""

    def __init__(self, status: int, detail: str, path: str) -> None:
        super().__init__(
            f"Argilla refused {path} (HTTP {status}).",
            cause=detail[:500],
            next_step="If the message does not help, look at 'pref-argilla server logs'.",
        )
        self.status = status
        self.detail = detail


class Connection:
    """Use as a context manager. Every method raises only LabelingError and its subclasses.

    ``requests`` counts the HTTP requests made, the sign-in included.
    """

    def __init__(
        self,
        address: ArgillaAddress,
        *,
        sleep: Callable[[float], None] = time.sleep,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        import argilla
        import httpx

        self.url = address.url.rstrip("/")
        self._wire = _patient_transport(httpx.HTTPTransport(), sleep, patience)
        with translated(self.url):
            # The SDK takes no transport of ours, but mounts go before its own.
            self.sdk: argilla.Argilla = argilla.Argilla(
                api_url=self.url, api_key=address.api_key, timeout=120, retries=0, mounts={"all://": self._wire}
            )
        self._http: httpx.Client = self.sdk.http_client
        if urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1"):
            # On one machine compressing costs the server more time than it saves: a quarter of a long list's.
            self._http.headers["Accept-Encoding"] = "identity"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    @property
    def requests(self) -> int:
        return int(self._wire.requests)

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """The decoded JSON of a request under ``/api/v1``, None where it is empty.

        Raises RefusedRequestError, LabelingAccessError or LabelingUnreachableError.
        """
        return self.decode(self.content(method, path, **arguments))

    def decode(self, content: bytes) -> Any:
        """The second half of ``request``, for callers that decode in another thread."""
        with translated(self.url):
            return json.loads(content) if content else None

    def content(self, method: str, path: str, **arguments: Any) -> bytes:
        """The first half of ``request``."""
        with translated(self.url):
            response = self._http.request(method, f"/api/v1{path}", **arguments)
            if response.is_success:
                return response.content
        if response.status_code in (401, 403):
            raise _access(self.url, response.status_code, method, path)
        raise RefusedRequestError(response.status_code, response.text, f"{method} {path}")


def _patient_transport(inner: httpx.BaseTransport, sleep: Callable[[float], None], patience: float) -> Any:
    import httpx

    class PatientTransport(httpx.BaseTransport):
        """Asks again, for whatever may be asked twice, while the server is away or its answers come broken.

        A POST is sent once. Nobody waits for a server that refuses connections from the start: that is a wrong address.
        """

        def __init__(self) -> None:
            self.requests = 0
            self._reached = False

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            started = time.monotonic()
            server_errors = 0
            delay = 0.25
            while True:
                try:
                    self.requests += 1
                    response = inner.handle_request(request)
                    # Read here, so that an answer that breaks off is asked for again too.
                    response.read()
                    self._reached = True
                except httpx.LocalProtocolError:
                    # A header that cannot be sent: ours, not the wire's fault.
                    raise
                except httpx.TransportError as exc:
                    out_of_patience = time.monotonic() - started > patience
                    wrong_address = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol)
                    nobody_there = isinstance(exc, wrong_address) and not self._reached
                    if request.method == "POST" or out_of_patience or nobody_there:
                        raise
                else:
                    if response.status_code < 500 or request.method == "POST":
                        return response
                    # A proxy answers 502 to 504 while the server behind it restarts; 500 is the server's own.
                    server_errors += response.status_code == 500
                    if server_errors >= SERVER_ERROR_ATTEMPTS or time.monotonic() - started > patience:
                        return response
                sleep(delay)
                delay = min(delay * 2, 5.0)

        def close(self) -> None:
            inner.close()

    return PatientTransport()


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turns what the SDK and httpx raise into LabelingError, most specific first."""
    import httpx
    from argilla import _exceptions as sdk_errors

    try:
        yield
    except LabelingError:
        raise
    except sdk_errors.ArgillaCredentialsError as exc:
        raise _access(url, 401, "GET", "/me") from exc
    except sdk_errors.UnauthorizedError as exc:
        raise _access(url, 401, "", "") from exc
    except sdk_errors.ForbiddenError as exc:
        raise _access(url, 403, "", "") from exc
    except sdk_errors.ArgillaAPIError as exc:
        raise LabelingDataError(f"Argilla at {url} refused a request.", cause=str(exc)[:500]) from exc
    except httpx.LocalProtocolError as exc:
        # From None, and without its text: it repeats the header with the key.
        raise LabelingError(f"The request to {url} cannot be sent: {type(exc).__name__}.") from None
    except (httpx.TransportError, httpx.InvalidURL) as exc:
        raise _unreachable(url, exc) from exc
    except (httpx.HTTPStatusError, ValueError) as exc:
        # Something answers there, but not as Argilla does: HTML where JSON belongs, or an unknown path.
        raise LabelingUnreachableError(
            f"What answers at {url} is not an Argilla server.",
            cause=str(exc)[:200],
            next_step="Check [argilla] url or ARGILLA_API_URL.",
        ) from exc
    except sdk_errors.ArgillaError as exc:
        raise LabelingError(f"Argilla at {url}: {exc}"[:500]) from exc


def _unreachable(url: str, exc: Exception) -> LabelingUnreachableError:
    return LabelingUnreachableError(
        f"No Argilla server answers at {url}.",
        cause=f"{type(exc).__name__}: {exc}",
        next_step="Start the embedded one with 'pref-argilla server up', or correct [argilla] url or ARGILLA_API_URL.",
    )


def _access(url: str, status: int, method: str, path: str) -> LabelingAccessError:
    if status == 401:
        return LabelingAccessError(
            f"Argilla at {url} does not accept the API key.",
            cause="The key is wrong or belongs to another server.",
            next_step="Set ARGILLA_API_KEY to the key that Argilla shows under 'My settings' "
            "(embedded server: 'pref-argilla server credentials').",
        )
    return LabelingAccessError(
        f"Argilla at {url} forbids {method} {path}.".replace("  .", " this."),
        cause="The key's user lacks the rights: creating workspaces and users needs an owner, pushing and pulling an owner "
        "or an admin of the workspace.",
        next_step="Use an owner's key, or have an owner add this user to the workspace as admin.",
    )
