"""The real client over real sockets against a scripted endpoint in another process."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoint import RunningEndpoint, running_endpoint
from pref_argilla.errors import ModelAccessError, ModelError, ModelUnavailableError, RequestRejectedError
from pref_argilla.llm import Answer, LanguageModel, _retry_after
from pref_argilla.models import ModelSpec
from pref_argilla.schema import FinishReason, Message, Role

KEY = "sk-very-secret-key-1234567890"
QUESTION = [Message(Role.USER, "What is the capital of Türkiye?")]
OK = {"kind": "ok"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[RunningEndpoint]:
    with running_endpoint() as running:
        yield running


@pytest.fixture
def spec(endpoint: RunningEndpoint) -> ModelSpec:
    endpoint.play()
    return ModelSpec("small", "org/small-1", base_url=endpoint.base_url, timeout=10.0, retries=3)


def ask_many(spec: ModelSpec, questions: Sequence[dict[str, Any]], key: str = KEY) -> list[Answer | BaseException]:
    async def everything() -> list[Answer | BaseException]:
        async with LanguageModel(spec, key, rng=random.Random(7), backoff=0.02) as model:
            return await asyncio.gather(
                *(model.ask(**{"messages": QUESTION, **question}) for question in questions), return_exceptions=True
            )

    return asyncio.run(everything())


def ask(spec: ModelSpec, key: str = KEY, **question: Any) -> Answer:
    (result,) = ask_many(spec, [question], key)
    if isinstance(result, BaseException):
        raise result
    return result


def test_what_is_sent_and_what_comes_back(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    spec = replace(
        spec, temperature=0.7, top_p=0.9, max_tokens=99, seed=40, system_prompt="Be brief.", extra=(("min_p", 0.1),)
    )
    endpoint.play(key=KEY, models=["org/small-1"], prompt_tokens=11, completion_tokens=22)
    answer = ask(spec, sample=2, idempotency_key="g1")
    assert endpoint.bodies() == [
        {
            "model": "org/small-1",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": QUESTION[0].content},
            ],
            "max_tokens": 99,
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": 42,
            "min_p": 0.1,
        }
    ]
    assert answer.text.endswith("to: What is the capital of Türkiye?")
    assert (answer.prompt_tokens, answer.completion_tokens, answer.tokens_estimated) == (11, 22, False)
    assert (answer.finish_reason, answer.refusal, answer.model) == (FinishReason.STOP, False, "org/small-1")
    assert 0 < answer.latency < 10
    assert endpoint.stats()["requests_by_key"] == {"g1": 1}


def test_what_is_not_set_is_not_sent(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    ask(spec, key="")
    (body,) = endpoint.bodies()
    assert sorted(body) == ["max_tokens", "messages", "model"]


# fault, whether it may have been billed
FAULTS: list[tuple[dict[str, Any], bool]] = [
    ({"kind": "status", "status": 429, "headers": {"Retry-After": "0"}}, False),
    ({"kind": "status", "status": 429}, False),
    ({"kind": "status", "status": 429, "headers": {"Retry-After": "soon"}}, False),
    ({"kind": "status", "status": 408}, False),
    ({"kind": "status", "status": 409}, False),
    ({"kind": "status", "status": 500}, False),
    ({"kind": "status", "status": 502}, False),
    ({"kind": "status", "status": 503, "headers": {"retry-after-ms": "20"}}, False),
    ({"kind": "status", "status": 529}, False),
    ({"kind": "refuse"}, True),
    ({"kind": "reset"}, True),
    ({"kind": "half"}, True),
    ({"kind": "half_json"}, True),
    ({"kind": "html"}, True),
    ({"kind": "silence"}, True),
    ({"kind": "drip"}, True),
    ({"kind": "ok", "body": {"error": {"message": "upstream died"}}}, True),
    ({"kind": "ok", "body": {"choices": []}}, True),
    ({"kind": "ok", "body": {"choices": [None]}}, True),
    ({"kind": "ok", "body": {"choices": [{"message": "text"}]}}, True),
    ({"kind": "ok", "body": {"choices": "none"}}, True),
    ({"kind": "ok", "body": [1, 2]}, True),
    ({"kind": "ok", "body": None}, True),
]


@pytest.mark.parametrize(("fault", "lost"), FAULTS, ids=lambda value: json.dumps(value))
def test_a_fault_on_the_wire_is_tried_again(
    endpoint: RunningEndpoint, spec: ModelSpec, fault: dict[str, Any], lost: bool
) -> None:
    # Without idempotency: the second answer is a new one, and not the broken one again.
    endpoint.play(sequence=[fault, OK], idempotency=False)
    losses: list[None] = []

    def count() -> bool:
        losses.append(None)
        return True

    answer = ask(replace(spec, timeout=0.4), idempotency_key="g1", on_lost=count)
    assert answer.text.startswith("Answer ")
    assert endpoint.stats()["requests_by_key"] == {"g1": 2}
    assert len(losses) == lost


@pytest.mark.parametrize("kind", ["reset", "half", "half_json", "drip"])
def test_an_answer_cut_on_the_way_is_billed_once_with_its_key(
    endpoint: RunningEndpoint, spec: ModelSpec, kind: str
) -> None:
    endpoint.play(sequence=[{"kind": kind}, {"kind": kind}, OK])
    ask(replace(spec, timeout=0.4), idempotency_key="g1")
    stats = endpoint.stats()
    assert (stats["requests"], stats["billed_by_key"]) == (3, {"g1": 1})


def test_a_loss_that_must_not_be_repeated_is_the_end(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(sequence=[{"kind": "half"}, OK])
    with pytest.raises(ModelUnavailableError, match="broke"):
        ask(spec, on_lost=lambda: False)
    assert endpoint.stats()["requests"] == 1


def test_nobody_listens(spec: ModelSpec) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    # on_lost says no: were it asked, there would be one attempt only.
    with pytest.raises(ModelUnavailableError, match=r"2 attempts.* no connection") as caught:
        ask(replace(spec, base_url=f"http://127.0.0.1:{port}/v1", retries=1), on_lost=lambda: False)
    assert f"127.0.0.1:{port}" in str(caught.value)


def test_retries_come_to_an_end(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(by_text={"": {"kind": "status", "status": 503}})
    with pytest.raises(ModelUnavailableError, match="HTTP 503"):
        ask(spec)
    assert endpoint.stats()["requests"] == 4


def test_pauses_grow(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(by_text={"": {"kind": "status", "status": 500}})
    with pytest.raises(ModelUnavailableError):
        ask(replace(spec, retries=4))
    times = endpoint.arrivals()
    pauses = [later - earlier for earlier, later in pairwise(times)]
    # Between half and all of 0.02, 0.04, 0.08, 0.16 seconds.
    assert all(pause >= least for pause, least in zip(pauses, (0.01, 0.02, 0.04, 0.08), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "least"),
    [
        ({"status": 429, "headers": {"Retry-After": "1"}}, 1.0),
        ({"status": 503, "headers": {"Retry-After": "1"}}, 1.0),
        # A date has whole seconds, so up to one is lost.
        ({"status": 429, "retry_after_date": 2}, 1.0),
    ],
)
def test_retry_after_holds_for_everyone(
    endpoint: RunningEndpoint, spec: ModelSpec, fault: dict[str, Any], least: float
) -> None:
    limit = {"kind": "status", **fault}
    endpoint.play(sequence=[limit, OK], latency=0.1)

    async def everything() -> None:
        async with LanguageModel(spec, KEY, rng=random.Random(7), backoff=0.02) as model:
            first = asyncio.create_task(model.ask(QUESTION))
            while endpoint.stats()["requests"] == 0:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            await asyncio.gather(first, *(model.ask(QUESTION) for _ in range(4)))

    asyncio.run(everything())
    first, *others = endpoint.arrivals()
    assert len(others) == 5
    assert all(least <= arrival - first < 2 * least + 2 for arrival in others)


def test_a_rate_limit_uses_up_no_retry(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(most_at_once=4, retry_after=0.1, latency=0.05)
    answers = ask_many(replace(spec, retries=0, concurrency=16), [{"idempotency_key": f"g{n}"} for n in range(24)])
    assert all(isinstance(answer, Answer) for answer in answers)
    stats = endpoint.stats()
    assert stats["statuses"]["429"] > 0
    assert stats["billed"] == stats["delivered"] == 24
    # Those who wait do not hammer: far fewer than one request each 50 ms and waiter.
    assert stats["requests"] < 24 * 6


def test_a_rate_limit_for_hours_is_told_instead_of_waited_for(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(sequence=[{"kind": "status", "status": 429, "headers": {"Retry-After": "7200"}}])
    with pytest.raises(ModelUnavailableError, match="7200 s"):
        ask(spec)


NO_ACCESS: list[tuple[dict[str, Any], str]] = [
    ({"status": 401}, "refuses the key"),
    ({"status": 403}, "refuses the key"),
    ({"status": 402}, "no credit"),
    ({"status": 404}, "does not exist"),
    ({"status": 405}, "does not exist"),
    ({"status": 400, "error": {"message": "?", "code": "model_not_found"}}, "does not exist"),
    ({"status": 429, "error": {"message": "?", "code": "insufficient_quota"}}, "no credit"),
    ({"status": 400, "error": {"message": "?", "code": "unsupported_parameter", "param": "top_p"}}, "parameters"),
]


@pytest.mark.parametrize(("fault", "what"), NO_ACCESS, ids=lambda value: json.dumps(value))
def test_no_access_ends_everything_at_once(
    endpoint: RunningEndpoint, spec: ModelSpec, fault: dict[str, Any], what: str
) -> None:
    endpoint.play(sequence=[{"kind": "status", **fault}])
    with pytest.raises(ModelAccessError, match=what) as caught:
        ask(spec)
    message = str(caught.value)
    assert "'small'" in message and "org/small-1" in message and endpoint.base_url in message
    assert f"HTTP {fault['status']}" in message
    assert endpoint.stats()["requests"] == 1


def test_a_wrong_key_is_named_by_its_variable_and_never_shown(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(key="another")
    with pytest.raises(ModelAccessError, match="OPENAI_API_KEY") as caught:
        ask(spec)
    # The endpoint repeats the key in its message.
    assert "Incorrect API key provided: …" in str(caught.value)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ModelAccessError, match="api_key_variable"):
        ask(replace(spec, api_key_variable=""), key="")


def test_an_unknown_model(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(models=["org/large-1"])
    with pytest.raises(ModelAccessError, match=r"org/small-1 at http://127.*does not exist"):
        ask(spec)


def test_the_key_is_in_no_representation(spec: ModelSpec) -> None:
    model = LanguageModel(spec, KEY, rng=random.Random(7))
    assert KEY not in repr(model) and "small" in repr(model)


@pytest.mark.parametrize("key", ["sk-1\n", "sk 1", "“sk-1”", "sk-1\x00"])
def test_a_key_copied_with_something_else(spec: ModelSpec, key: str) -> None:
    with pytest.raises(ModelAccessError, match="characters") as caught:
        LanguageModel(spec, key, rng=random.Random(7))
    assert "sk" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused_is_not_repeated(endpoint: RunningEndpoint, spec: ModelSpec, status: int) -> None:
    hostile = "too long\x1b[31m\nfor  this model" + "!" * 1000
    error = {"message": hostile, "code": "context_length_exceeded"}
    endpoint.play(sequence=[{"kind": "status", "status": status, "error": error}])
    with pytest.raises(RequestRejectedError) as caught:
        ask(spec)
    assert caught.value.cause.startswith("too long [31m for this model!")
    assert caught.value.cause.isprintable() and len(caught.value.cause) <= 300
    assert endpoint.stats()["requests"] == 1


@pytest.mark.parametrize("body", ["oops", None, [1], {"detail": [{"loc": ["body"], "msg": "no"}]}])
def test_an_error_of_any_shape(endpoint: RunningEndpoint, spec: ModelSpec, body: Any) -> None:
    endpoint.play(sequence=[{"kind": "status", "status": 400, "error": body}])
    with pytest.raises(RequestRejectedError):
        ask(spec)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"finish_reason": "length"}, {"finish_reason": FinishReason.LENGTH}),
        ({"finish_reason": "content_filter"}, {"finish_reason": FinishReason.CONTENT_FILTER}),
        ({"finish_reason": "tool_calls"}, {"finish_reason": FinishReason.UNKNOWN}),
        ({"finish_reason": None}, {"finish_reason": FinishReason.UNKNOWN}),
        ({"refusal": "I cannot.", "content": None}, {"refusal": True, "text": "I cannot."}),
        ({"refusal": "", "content": "Fine."}, {"refusal": False, "text": "Fine."}),
        ({"content": ""}, {"text": "", "refusal": False}),
        ({"content": None}, {"text": ""}),
        ({"content": [{"type": "text", "text": "a"}, {"type": "x"}, {"type": "text", "text": "b"}]}, {"text": "ab"}),
        ({"content": 5}, {"text": ""}),
        ({"content": "half \ud83d of it"}, {"text": "half \ufffd of it"}),
        ({"content": "whole \U0001f600"}, {"text": "whole \U0001f600"}),
    ],
    ids=lambda value: ascii(value),
)
def test_what_an_answer_can_be(
    endpoint: RunningEndpoint, spec: ModelSpec, fault: dict[str, Any], expected: dict[str, Any]
) -> None:
    endpoint.play(sequence=[{"kind": "ok", **fault}])
    answer = ask(spec)
    assert {name: getattr(answer, name) for name in expected} == expected


HOSTILE = [
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</script>$&$1 List<String> a\x00b\x1b[31m\r\n\tend  ",
    "سلام \u202eabc 👩‍👩‍👧 ı İ i̇ \u2028\ufeff",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=["html", "controls", "letters", "100 kB"])
def test_hostile_text_comes_back_as_it_was_written(endpoint: RunningEndpoint, spec: ModelSpec, text: str) -> None:
    endpoint.play(sequence=[{"kind": "ok", "content": text}])
    # NUL alone is replaced: neither Argilla nor most files take it.
    assert ask(spec, messages=[Message(Role.USER, text)]).text == text.replace("\0", "\ufffd")
    assert endpoint.bodies()[0]["messages"][0]["content"] == text


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": 5}, {"prompt_tokens": "5", "completion_tokens": -1}, 7, {"prompt_tokens": True}],
)
def test_tokens_that_were_not_counted_are_marked_as_a_guess(
    endpoint: RunningEndpoint, spec: ModelSpec, usage: Any
) -> None:
    endpoint.play(sequence=[{"kind": "ok", "usage": usage, "content": "x" * 35}])
    answer = ask(spec)
    assert answer.tokens_estimated
    assert answer.completion_tokens == 10
    assert answer.prompt_tokens > 0


def test_an_endpoint_with_the_newer_name_of_max_tokens(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    error = {"message": "Use max_completion_tokens", "code": "unsupported_parameter", "param": "max_tokens"}
    fault = {"kind": "status", "status": 400, "error": error, "latency": 0.05}
    endpoint.play(sequence=[fault] * 8)
    # Eight at once learn it together, and none of them needs a retry for it.
    answers = ask_many(replace(spec, retries=0), [{}] * 8)
    assert all(isinstance(answer, Answer) for answer in answers)
    bodies = endpoint.bodies()
    assert ["max_tokens" in body for body in bodies] == [True] * 8 + [False] * 8
    assert bodies[-1]["max_completion_tokens"] == spec.max_tokens


def test_concurrency_is_kept(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(latency=0.03)
    ask_many(replace(spec, concurrency=3), [{}] * 12)
    stats = endpoint.stats()
    assert (stats["most_in_flight"], stats["delivered"]) == (3, 12)


def test_sixty_four_at_once(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(latency=0.5)
    ask_many(replace(spec, concurrency=64), [{}] * 64)
    assert endpoint.stats()["most_in_flight"] == 64


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 429, "headers": {"Retry-After": "200"}}, {"kind": "status", "status": 500}],
    ids=["rate limit", "backoff"],
)
def test_a_stop_ends_the_waiting(endpoint: RunningEndpoint, spec: ModelSpec, fault: dict[str, Any]) -> None:
    endpoint.play(by_text={"": fault})

    async def everything() -> float:
        stop = asyncio.Event()
        async with LanguageModel(spec, KEY, rng=random.Random(7), backoff=100.0) as model:
            question = asyncio.create_task(model.ask(QUESTION, stop=stop))
            while endpoint.stats()["requests"] == 0:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            started = time.perf_counter()
            stop.set()
            with pytest.raises(ModelUnavailableError):
                await question
            return time.perf_counter() - started

    assert asyncio.run(everything()) < 1.0
    assert endpoint.stats()["requests"] == 1


@pytest.mark.parametrize("exception", [ModelAccessError, ModelUnavailableError, RequestRejectedError])
def test_one_except_clause_catches_them(exception: type[Exception]) -> None:
    assert issubclass(exception, ModelError)


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
        ({"retry-after": formatdate(NOW + 90, usegmt=True)}, 90.0),
        ({"retry-after": formatdate(NOW - 90, usegmt=True)}, 0.0),
        ({"retry-after": "Fri, 99 Foo 2026 10:00:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert _retry_after(headers, NOW) == seconds


@given(st.text())
def test_retry_after_takes_anything(value: str) -> None:
    seconds: float | None = _retry_after({"retry-after": value, "retry-after-ms": value}, NOW)
    assert seconds is None or seconds >= 0


def test_importing_it_does_not_import_the_sdk() -> None:
    code = f"import sys; sys.path[:0] = {sys.path!r}; import pref_argilla.generate; print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
