"""Asks one model of one OpenAI-compatible endpoint: concurrency, retries, rate limits. The only importer of openai.

What can go wrong on the way to an answer, and what is done about it:

    wrong key, no rights, no credit, unknown model or parameter   ModelAccessError (401-405, some 400 and 429)
    a request that this endpoint never takes: too long, not understood   RequestRejectedError (other 4xx)
    rate limit (429), overload (503) with Retry-After   everyone who asks this model waits as long as it says
    5xx, 408, 409, reset, timeout, half an answer       asked again after a growing, random pause
    still no answer after the retries                   ModelUnavailableError
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from pref_argilla.errors import ModelAccessError, ModelUnavailableError, RequestRejectedError
from pref_argilla.models import ModelSpec, prompt_tokens_about, tokens_about
from pref_argilla.schema import FinishReason, Message

if TYPE_CHECKING:
    import openai

LONGEST_PAUSE = 30.0
"""Seconds between two attempts at most, where the endpoint asks for nothing else."""

LONGEST_RETRY_AFTER = 300.0
"""A rate limit that lasts longer than so many seconds is reported instead of waited for."""

MOST_RATE_LIMITS = 30
"""How often one request may meet a rate limit, which is no failure of the endpoint and uses up no retry."""

_FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
}

# A 400 or 429 with one of these codes is about the configuration or the account, not about this one request.
_NEVER_CODES = frozenset(
    {
        "billing_hard_limit_reached",
        "billing_not_active",
        "insufficient_quota",
        "invalid_api_key",
        "invalid_model",
        "model_not_found",
        "unknown_parameter",
        "unsupported_parameter",
        "unsupported_value",
    }
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote. ``tokens_estimated`` where the endpoint did not count.

    ``latency`` is the last attempt's seconds; ``model`` is what the endpoint says answered, which may be more exact
    than the id that was asked.
    """

    text: str
    finish_reason: FinishReason
    refusal: bool
    prompt_tokens: int
    completion_tokens: int
    tokens_estimated: bool
    model: str
    latency: float


@dataclass(frozen=True, slots=True)
class _Fault:
    """One failed attempt that may be tried again.

    ``lost``: it was sent and may have been billed. ``forgiven``: it uses up no retry. ``wait`` is what the endpoint
    asked for, in seconds.
    """

    cause: str
    lost: bool = False
    forgiven: bool = False
    wait: float | None = None


class LanguageModel:
    """``async with LanguageModel(spec, key, rng=random.Random(7)) as model: answer = await model.ask(messages)``

    At most ``spec.concurrency`` attempts are under way at once. ``rng`` spreads the pauses between attempts;
    ``backoff`` is the first pause in seconds, doubled each time.
    """

    def __init__(self, spec: ModelSpec, api_key: str = "", *, rng: random.Random, backoff: float = 0.5) -> None:
        if any(not "!" <= character <= "~" for character in api_key):
            raise ModelAccessError(
                f"The key of model {spec.name!r} has characters that no key has.",
                cause="A line break, a space or a quotation mark was copied with it.",
                next_step=f"Set {spec.api_key_variable} again.",
            )
        self.spec = spec
        self._key = api_key
        self._rng = rng
        self._backoff = backoff
        self._slots = asyncio.Semaphore(spec.concurrency)
        self._quiet_until = 0.0
        # Newer OpenAI models refuse the field that every other endpoint knows; see _attempt.
        self._limit_field = "max_tokens"
        self._client: openai.AsyncOpenAI | None = None

    def __repr__(self) -> str:
        return f"LanguageModel({self.spec.name!r}, model={self.spec.model!r}, base_url={self.spec.base_url!r})"

    async def __aenter__(self) -> Self:
        import openai

        # Proxies of the environment are for the world outside; a model on this machine is asked directly.
        local = urlsplit(self.spec.base_url).hostname in ("127.0.0.1", "localhost", "::1")
        self._client = openai.AsyncOpenAI(
            api_key=self._key or "none",
            base_url=self.spec.base_url,
            max_retries=0,
            timeout=openai.Timeout(self.spec.timeout, connect=min(10.0, self.spec.timeout)),
            http_client=openai.DefaultAsyncHttpxClient(trust_env=not local),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def ask(
        self,
        messages: Sequence[Message],
        *,
        sample: int = 0,
        idempotency_key: str = "",
        stop: asyncio.Event | None = None,
        on_lost: Callable[[], bool] | None = None,
    ) -> Answer:
        """One answer to a conversation.

        ``idempotency_key`` goes with every attempt, so that an endpoint which knows such keys bills one answer.
        ``stop``: once set, nothing is tried again. ``on_lost`` is called when an attempt was sent and its answer did
        not come whole, so that it may have been billed; False means that it must not be tried again.

        Raises ModelAccessError, RequestRejectedError or ModelUnavailableError as the table above says.
        """
        conversation = self.spec.conversation(messages)
        fault = _Fault("it was stopped before it was asked")
        failures = forgiven = 0
        while True:
            await self._wait_for_the_endpoint(stop)
            if stop is not None and stop.is_set():
                raise self._unavailable(fault, failures + forgiven)
            outcome = await self._attempt(conversation, sample, idempotency_key)
            if isinstance(outcome, Answer):
                return outcome
            fault = outcome
            may_go_on = on_lost() if fault.lost and on_lost is not None else True
            if fault.forgiven:
                forgiven += 1
            else:
                failures += 1
            enough = failures > self.spec.retries or forgiven > MOST_RATE_LIMITS
            too_long = fault.wait is not None and fault.wait > LONGEST_RETRY_AFTER
            if enough or too_long or not may_go_on:
                raise self._unavailable(fault, failures + forgiven)
            await self._pause(fault, failures + forgiven, stop)

    async def _attempt(self, conversation: Sequence[Message], sample: int, idempotency_key: str) -> Answer | _Fault:
        import openai

        client = self._client
        if client is None:
            raise RuntimeError("LanguageModel is used outside its `async with`")
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        async with self._slots:
            limit_field = self._limit_field
            started = time.perf_counter()
            try:
                # The SDK's timeout is for each read; an answer that drips byte by byte needs one for the whole.
                async with asyncio.timeout(self.spec.timeout):
                    # Not chat.completions.create: it builds a typed answer without checking it, for twice the time.
                    body: object = await client.post(
                        "/chat/completions",
                        cast_to=object,
                        body=self._body(conversation, sample, limit_field),
                        options={"headers": headers},
                    )
            except (TimeoutError, openai.APITimeoutError) as error:
                return _Fault(f"no answer within {self.spec.timeout:g} s", lost=not _never_sent(error))
            except openai.APIStatusError as error:
                return self._status_fault(error, limit_field)
            except openai.APIConnectionError as error:
                if _never_sent(error):
                    return _Fault("no connection")
                return _Fault("the connection broke", lost=True)
            except ValueError:  # json.JSONDecodeError: the length was right and the content cut
                return _Fault("half an answer", lost=True)
            latency = time.perf_counter() - started
        return self._read(body, conversation, latency)

    def _body(self, conversation: Sequence[Message], sample: int, limit_field: str) -> dict[str, Any]:
        spec = self.spec
        body: dict[str, Any] = {
            "model": spec.model,
            "messages": [{"role": str(message.role), "content": message.content} for message in conversation],
            limit_field: spec.max_tokens,
        }
        if spec.temperature is not None:
            body["temperature"] = spec.temperature
        if spec.top_p is not None:
            body["top_p"] = spec.top_p
        if spec.seed is not None:
            body["seed"] = spec.seed + sample
        body.update(spec.extra)
        return body

    def _read(self, body: object, conversation: Sequence[Message], latency: float) -> Answer | _Fault:
        """An answer, or a fault for what is not one: gateways send web pages and errors with status 200."""
        choice = _first_choice(body)
        message = choice.get("message") if choice is not None else None
        if not isinstance(body, Mapping) or choice is None or not isinstance(message, Mapping):
            return _Fault("not a chat completion", lost=True)
        content = _text_of(message.get("content"))
        refusal = _text_of(message.get("refusal"))
        text = _storable(content or refusal)
        raw_usage = body.get("usage")
        usage: Mapping[str, object] = raw_usage if isinstance(raw_usage, Mapping) else {}
        prompt_tokens, completion_tokens = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        name = body.get("model")
        return Answer(
            text=text,
            finish_reason=_FINISH_REASONS.get(str(choice.get("finish_reason")), FinishReason.UNKNOWN),
            refusal=bool(refusal),
            prompt_tokens=prompt_tokens_about(conversation) if prompt_tokens is None else prompt_tokens,
            completion_tokens=tokens_about(text) if completion_tokens is None else completion_tokens,
            tokens_estimated=prompt_tokens is None or completion_tokens is None,
            model=_storable(name) if isinstance(name, str) and name else self.spec.model,
            latency=latency,
        )

    def _status_fault(self, error: openai.APIStatusError, limit_field: str) -> _Fault:
        """What a status code means: a fault to try again, or raises the error that ends it."""
        status, code = error.status_code, str(error.code or "")
        message = error.body.get("message") if isinstance(error.body, Mapping) else None
        said = self._printable(message if isinstance(message, str) else error.message)
        if status in (400, 422) and error.param == limit_field == "max_tokens":
            self._limit_field = "max_completion_tokens"
            return _Fault("max_tokens is called max_completion_tokens here", forgiven=True, wait=0.0)
        if status in (401, 402, 403, 404, 405) or code in _NEVER_CODES:
            # From None, here and below: the SDK's error holds what the endpoint said, and some repeat the key.
            raise self._no_access(status, code, said) from None
        if status == 429:
            return _Fault("HTTP 429", forgiven=True, wait=_retry_after(error.response.headers, time.time()))
        if status in (408, 409, 425) or status >= 500:
            return _Fault(f"HTTP {status}", wait=_retry_after(error.response.headers, time.time()))
        raise RequestRejectedError(
            f"Model {self.spec.name!r} refuses this request (HTTP {status}).",
            cause=said,
            next_step="A prompt that is too long for the model is the usual reason.",
        ) from None

    def _no_access(self, status: int, code: str, said: str) -> ModelAccessError:
        spec = self.spec
        who = f"{spec.name!r} ({spec.model} at {spec.base_url})"
        variable = spec.api_key_variable
        if code in ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active") or status == 402:
            what, step = f"The account of model {who} has no credit left.", "Add credit, then run the command again."
        elif status in (404, 405) or code in ("model_not_found", "invalid_model"):
            what = f"Model {who} does not exist there."
            step = "Correct `model` or `base_url` in pref-argilla.toml."
        elif status in (401, 403) or code == "invalid_api_key":
            what = f"Model {who} refuses the key."
            step = (
                f"Set the environment variable {variable} to a key that may use it."
                if variable
                else "Name the key's environment variable as `api_key_variable` in pref-argilla.toml."
            )
        else:
            what = f"Model {who} does not know one of its parameters."
            step = "Correct the model's parameters in pref-argilla.toml."
        return ModelAccessError(what, cause=f"It says (HTTP {status}): {said}", next_step=step)

    def _unavailable(self, fault: _Fault, attempts: int) -> ModelUnavailableError:
        what = f"Model {self.spec.name!r} at {self.spec.base_url} gave no answer in {attempts} attempts."
        if fault.wait is not None and fault.wait > LONGEST_RETRY_AFTER:
            return ModelUnavailableError(
                what,
                cause=fault.cause,
                next_step=f"It asks to wait {fault.wait:.0f} s; run the command again after that.",
            )
        return ModelUnavailableError(
            what, cause=fault.cause, next_step="Run the command again; it asks what is missing."
        )

    async def _wait_for_the_endpoint(self, stop: asyncio.Event | None) -> None:
        """Out the rate limit that anybody met, then a little longer: not all of them at the same moment."""
        loop = asyncio.get_running_loop()
        while (left := self._quiet_until - loop.time()) > 0:
            await _sleep(left + self._rng.uniform(0.0, min(left, 1.0)), stop)
            if stop is not None and stop.is_set():
                return

    async def _pause(self, fault: _Fault, failures: int, stop: asyncio.Event | None) -> None:
        if fault.wait is not None:
            # What the endpoint asked for holds for everyone who asks this model.
            quiet_until = asyncio.get_running_loop().time() + fault.wait
            self._quiet_until = max(self._quiet_until, quiet_until)
            await _sleep(self._rng.uniform(0.0, self._backoff), stop)
            return
        longest = min(LONGEST_PAUSE, self._backoff * 2.0 ** min(failures - 1, 32))
        await _sleep(self._rng.uniform(longest / 2, longest), stop)

    def _printable(self, message: str) -> str:
        """A foreign message for a terminal: one short sentence, no control characters, never the key."""
        if self._key:
            message = message.replace(self._key, "…")
        line = " ".join("".join(c if c.isprintable() else " " for c in message).split())
        line = line if len(line) <= 300 else line[:299] + "…"
        return line if not line or line[-1] in ".!?…" else line + "."


async def _sleep(seconds: float, stop: asyncio.Event | None) -> None:
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


def _never_sent(error: BaseException) -> bool:
    """Whether the request cannot have reached the endpoint, and so was not billed.

    By name: which package's transport is underneath depends on the SDK's version.
    """
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout", "PoolTimeout")


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date); None without one."""
    value = headers.get("retry-after", "")
    for text, unit in ((headers.get("retry-after-ms", ""), 0.001), (value, 1.0)):
        try:
            seconds = float(text) * unit
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _first_choice(body: object) -> Mapping[str, object] | None:
    choices = body.get("choices") if isinstance(body, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, Mapping) else None


def _text_of(content: object) -> str:
    """Content is text, nothing, or (some endpoints) a list of parts, of which the text counts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _storable(text: str) -> str:
    """JSON can escape NUL and half a character, which few files and databases take; both become U+FFFD."""
    text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
