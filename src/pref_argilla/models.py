"""A language model as a project names it: where it is asked, with which parameters, at what price. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from pref_argilla.errors import ConfigError
from pref_argilla.schema import Message, Role, content_id

MILLION = 1_000_000

LOCAL_ENDPOINT = "local"
"""The ``base_url`` that stands for the small model of the extra ``local``; its address is known once it runs."""

# What chat templates put around a message and around a whole conversation, in tokens; generous.
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_CONVERSATION = 16


class ModelRole(StrEnum):
    ANSWER = "answer"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for a million tokens. Decimal, so that a sum over a million answers is exact."""

    prompt_per_million: Decimal
    completion_per_million: Decimal

    def __post_init__(self) -> None:
        for price in (self.prompt_per_million, self.completion_per_million):
            if not price.is_finite() or price < 0:
                raise ConfigError(
                    f"The price {price} is not usable.", next_step="Give dollars for a million tokens, 0 or more."
                )

    @staticmethod
    def of(prompt: str | int | float | Decimal, completion: str | int | float | Decimal) -> Prices:
        """From what a person writes: 0.15 is fifteen cents and not the nearest binary fraction.

        Raises ConfigError for what is no number, or a negative one.
        """
        try:
            return Prices(Decimal(str(prompt)), Decimal(str(completion)))
        except InvalidOperation:
            raise ConfigError(
                f"The prices {prompt!r} and {completion!r} are not both numbers.",
                next_step="Give dollars for a million tokens.",
            ) from None

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """Dollars, exact."""
        return (self.prompt_per_million * prompt_tokens + self.completion_per_million * completion_tokens) / Decimal(
            MILLION
        )


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model of a project. ``name`` is the origin of its completions and unique in a project.

    ``api_key_variable`` is the NAME of the environment variable that holds the key; empty where none is needed.
    ``temperature``, ``top_p`` and ``seed`` are not sent when None; sample n is sent ``seed + n``, so that several
    samples of one prompt differ. ``samples`` is how many usable answers to one prompt are taken from this model at
    most, None means as many as needed. ``timeout`` is in seconds, for one attempt from sending to the last byte;
    ``retries`` counts the attempts after the first. ``prices`` None means unknown: a spend limit then refuses to start.
    ``extra`` holds further fields of the request's body, as they are.

    Raises ConfigError for a value that no endpoint could take.
    """

    name: str
    model: str
    base_url: str = "https://api.openai.com/v1"
    api_key_variable: str = "OPENAI_API_KEY"
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int = 1024
    system_prompt: str = ""
    samples: int | None = None
    seed: int | None = None
    prices: Prices | None = None
    concurrency: int = 8
    timeout: float = 120.0
    retries: int = 6
    role: ModelRole = ModelRole.ANSWER
    extra: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        def demand(fine: bool, field: str, wanted: str) -> None:
            if not fine:
                raise ConfigError(f"Model {self.name!r}: {field} must be {wanted}, not {getattr(self, field)!r}.")

        demand(bool(self.name.strip()), "name", "a text")
        demand(bool(self.model.strip()), "model", "the id that the endpoint knows")
        demand(
            self.base_url == LOCAL_ENDPOINT or _is_web_address(self.base_url),
            "base_url",
            f"an address like https://api.openai.com/v1, or {LOCAL_ENDPOINT!r}",
        )
        demand(self.temperature is None or self.temperature >= 0, "temperature", "0 or more")
        demand(self.top_p is None or 0 < self.top_p <= 1, "top_p", "above 0 and at most 1")
        demand(self.max_tokens >= 1, "max_tokens", "1 or more")
        demand(self.samples is None or self.samples >= 1, "samples", "1 or more")
        demand(self.concurrency >= 1, "concurrency", "1 or more")
        demand(self.timeout > 0, "timeout", "above 0 seconds")
        demand(self.retries >= 0, "retries", "0 or more")

    @property
    def fingerprint(self) -> str:
        """``m`` and 20 hexadecimal digits over all that changes what is written, and the name.

        The address is not part of it: a local model has a new port every time and stays the same model.
        """
        return content_id(
            "m",
            self.name,
            self.model,
            self.temperature,
            self.top_p,
            self.max_tokens,
            self.system_prompt,
            self.seed,
            sorted(self.extra, key=lambda field: field[0]),
        )

    def conversation(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """What is sent: the model's own system prompt first.

        A prompt that brings a system message gets both in one, since many chat templates refuse a second one.
        """
        if not self.system_prompt:
            return tuple(messages)
        if messages and messages[0].role is Role.SYSTEM:
            both = f"{self.system_prompt}\n\n{messages[0].content}"
            return (Message(Role.SYSTEM, both), *messages[1:])
        return (Message(Role.SYSTEM, self.system_prompt), *messages)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def tokens_about(text: str) -> int:
    """A fair guess without a tokenizer: 3.5 bytes of UTF-8 a token, which is near for English and Turkish alike."""
    return (2 * _bytes(text) + 6) // 7


def prompt_tokens_about(messages: Sequence[Message]) -> int:
    return sum(tokens_about(message.content) + _TOKENS_PER_MESSAGE // 2 for message in messages)


def prompt_tokens_at_most(messages: Sequence[Message]) -> int:
    """No usual tokenizer makes more tokens than bytes; a hard spend limit reckons with that."""
    return _TOKENS_PER_CONVERSATION + sum(_bytes(message.content) + _TOKENS_PER_MESSAGE for message in messages)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
