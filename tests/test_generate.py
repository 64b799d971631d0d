"""Planning as a pure function; running with the real client against a scripted endpoint in another process."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoint import RunningEndpoint, running_endpoint
from pref_argilla.errors import ConfigError, ModelAccessError, StoreFullError, UsageError
from pref_argilla.generate import (
    FAILURES_IN_A_ROW,
    Budget,
    ExistingAnswer,
    Generated,
    GenerateReport,
    GenerationRequest,
    Outcome,
    Progress,
    estimate,
    generate,
    plan,
    run,
)
from pref_argilla.llm import LanguageModel
from pref_argilla.models import ModelSpec, Prices
from pref_argilla.schema import FinishReason, Message, Prompt, Role


def prompt(text: str) -> Prompt:
    return Prompt.of([Message(Role.USER, text)])


PROMPTS = [prompt(f"Question {number}?") for number in range(40)]
ONE = ModelSpec("one", "org/one", base_url="http://127.0.0.1:9/v1", api_key_variable="", prices=Prices.of(1, 2))
TWO = replace(ONE, name="two")
THREE = replace(ONE, name="three")


# plan


def asked(requests: Sequence[GenerationRequest]) -> Counter[tuple[str, str]]:
    return Counter((request.prompt.id, request.spec.name) for request in requests)


def done(request: GenerationRequest, *, usable: bool = True, rejected: bool = False) -> ExistingAnswer:
    return ExistingAnswer(request.prompt.id, request.spec.fingerprint, request.sample, usable, rejected)


def test_answers_are_spread_over_the_models() -> None:
    planned = plan(PROMPTS, [ONE, TWO, THREE], 3)
    assert set(asked(planned.requests).values()) == {1}
    assert len(planned.requests) == 120 and not planned.short


def test_models_take_turns_so_that_none_is_asked_more_over_many_prompts() -> None:
    many = [prompt(str(number)) for number in range(600)]
    by_model = Counter(request.spec.name for request in plan(many, [ONE, TWO, THREE], 1).requests)
    assert all(150 < count < 250 for count in by_model.values())
    for one in many:
        order = [request.spec.name for request in plan([one], [ONE, TWO, THREE], 4).requests]
        assert order[0] == order[3] and "".join(order[:3]) in "onetwothreeonetwothree"


def test_one_model_gives_all_samples() -> None:
    assert [request.sample for request in plan(PROMPTS[:1], [ONE], 3).requests] == [0, 1, 2]


def test_what_is_there_is_not_asked_for_again() -> None:
    first = plan(PROMPTS, [ONE, TWO], 3).requests
    rest = plan(PROMPTS, [ONE, TWO], 3, [done(request) for request in first[:50]])
    assert {request.key for request in rest.requests} == {request.key for request in first[50:]}


def test_answers_of_people_and_other_settings_count() -> None:
    human = ExistingAnswer(PROMPTS[0].id, "", 0, usable=True)
    old = ExistingAnswer(PROMPTS[0].id, replace(ONE, temperature=0.1).fingerprint, 0, usable=True)
    assert [request.sample for request in plan(PROMPTS[:1], [ONE], 3, [human, old]).requests] == [0]
    assert not plan(PROMPTS[:1], [ONE], 2, [human, old]).requests


def test_an_unusable_answer_is_replaced_by_the_next_sample() -> None:
    (first,) = plan(PROMPTS[:1], [ONE], 1).requests
    (second,) = plan(PROMPTS[:1], [ONE], 1, [done(first, usable=False)]).requests
    assert (first.sample, second.sample) == (0, 1)
    assert first.key != second.key


def test_a_failed_request_keeps_its_number_and_key() -> None:
    requests = plan(PROMPTS[:1], [ONE], 3).requests
    saved = [done(requests[0]), done(requests[2])]
    assert plan(PROMPTS[:1], [ONE], 3, saved).requests == (requests[1],)


def test_unusable_answers_are_bounded() -> None:
    bad = [ExistingAnswer(PROMPTS[0].id, ONE.fingerprint, sample, usable=False) for sample in range(3)]
    assert len(plan(PROMPTS[:1], [ONE], 2, bad[:2]).requests) == 2
    planned = plan(PROMPTS[:1], [ONE], 2, bad)
    assert not planned.requests and planned.short == ((PROMPTS[0].id, 2),)
    # Another model steps in.
    assert {request.spec.name for request in plan(PROMPTS[:1], [ONE, TWO], 2, bad).requests} == {"two"}


def test_a_rejected_prompt_is_not_sent_there_again() -> None:
    rejected = [ExistingAnswer(PROMPTS[0].id, ONE.fingerprint, 0, usable=False, rejected=True)]
    assert plan(PROMPTS[:1], [ONE], 1, rejected).short == ((PROMPTS[0].id, 1),)
    assert [request.spec.name for request in plan(PROMPTS[:1], [ONE, TWO], 1, rejected).requests] == ["two"]


def test_samples_are_a_model_s_most() -> None:
    planned = plan(PROMPTS, [replace(ONE, samples=1), TWO], 3)
    assert {(name, count) for (_, name), count in asked(planned.requests).items()} == {("one", 1), ("two", 2)}


def test_wishes_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="at most 2"):
        plan(PROMPTS, [replace(ONE, samples=1), replace(TWO, samples=1)], 3)
    with pytest.raises(UsageError, match="at most 0"):
        plan(PROMPTS, [], 1)
    with pytest.raises(UsageError, match="'one'"):
        plan(PROMPTS, [ONE, ONE], 2)
    for answers, attempts in ((0, 1), (1, 0)):
        with pytest.raises(UsageError):
            plan(PROMPTS, [ONE], answers, max_attempts=attempts)


def test_a_prompt_given_twice_is_planned_once() -> None:
    assert len(plan([PROMPTS[0], PROMPTS[0]], [ONE], 2).requests) == 2


@given(
    answers=st.integers(1, 6),
    samples=st.lists(st.none() | st.integers(1, 4), min_size=1, max_size=4),
    attempts=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_topping_up_ends_and_never_asks_twice(
    answers: int, samples: list[int | None], attempts: int, seed: int
) -> None:
    specs = [replace(ONE, name=str(number), samples=most) for number, most in enumerate(samples)]
    if sum(answers if most is None else most for most in samples) < answers:
        return
    draw = random.Random(seed)
    existing: list[ExistingAnswer] = []
    keys: set[str] = set()
    planned = plan(PROMPTS[:3], specs, answers, existing, max_attempts=attempts)
    while planned.requests:
        for request in planned.requests:
            fate = draw.random()
            if fate < 0.15:
                continue  # failed: not saved, and asked again with the same key
            assert request.key not in keys
            keys.add(request.key)
            existing.append(done(request, usable=fate > 0.6, rejected=fate < 0.2))
        planned = plan(PROMPTS[:3], specs, answers, existing, max_attempts=attempts)
    short = dict(planned.short)
    for one in PROMPTS[:3]:
        there = [answer for answer in existing if answer.prompt_id == one.id]
        usable = sum(answer.usable for answer in there)
        assert usable + short.get(one.id, 0) == answers
        for spec in specs:
            own = [answer for answer in there if answer.fingerprint == spec.fingerprint]
            good = sum(answer.usable for answer in own)
            assert good <= (spec.samples or answers)
            # The last round may overshoot, by what one round asks.
            assert len(own) - good < attempts + answers


def test_the_key_is_of_the_prompt_the_settings_and_the_sample() -> None:
    def key(one: Prompt, spec: ModelSpec, sample: int) -> str:
        return GenerationRequest.of(one, spec, sample).key

    first = key(PROMPTS[0], ONE, 0)
    assert len({first, key(PROMPTS[1], ONE, 0), key(PROMPTS[0], replace(ONE, seed=1), 0), key(PROMPTS[0], ONE, 1)}) == 4
    assert first == key(PROMPTS[0], replace(ONE, base_url="http://127.0.0.1:10/v1", prices=None), 0)


def test_the_estimate_is_a_bound() -> None:
    prices = Prices.of(1, 2)
    spec = replace(ONE, max_tokens=100, prices=prices)
    requests = plan(PROMPTS, [spec], 2).requests
    guess = estimate(requests)
    assert (guess.requests, guess.completion_tokens_at_most) == (80, 8000)
    assert guess.cost_at_most is not None
    assert guess.cost_at_most > prices.cost(guess.prompt_tokens, 8000)
    assert estimate(plan(PROMPTS, [replace(spec, prices=None)], 1).requests).cost_at_most is None
    assert estimate([]).cost_at_most == 0


# run


@pytest.fixture(scope="module")
def endpoint() -> Iterator[RunningEndpoint]:
    with running_endpoint() as running:
        yield running


@pytest.fixture
def spec(endpoint: RunningEndpoint) -> ModelSpec:
    endpoint.play()
    return replace(ONE, base_url=endpoint.base_url, concurrency=8, timeout=10.0, retries=5, max_tokens=100)


@dataclass
class Saver:
    """Keeps what is saved; ``fails`` is raised by the save with that number."""

    batches: list[list[Generated]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    pause: float = 0.0
    fails: dict[int, Exception] = field(default_factory=dict)
    calls: int = 0

    def __call__(self, batch: list[Generated]) -> None:
        self.calls += 1
        self.threads.add(threading.get_ident())
        time.sleep(self.pause)
        if error := self.fails.pop(self.calls, None):
            raise error
        self.batches.append(list(batch))

    @property
    def saved(self) -> list[Generated]:
        return [generated for batch in self.batches for generated in batch]


def is_refusal(text: str) -> bool:
    return text.startswith("I cannot")


def go(
    requests: Sequence[GenerationRequest],
    save: Callable[[list[Generated]], None],
    *,
    backoff: float = 0.02,
    keys: dict[str, str] | None = None,
    **options: Any,
) -> GenerateReport:
    async def everything() -> GenerateReport:
        async with AsyncExitStack() as stack:
            models = {}
            for spec in {request.spec.name: request.spec for request in requests}.values():
                model = LanguageModel(spec, (keys or {}).get(spec.name, ""), rng=random.Random(7), backoff=backoff)
                models[spec.name] = await stack.enter_async_context(model)
            return await run(requests, models, save, is_refusal=is_refusal, **options)

    return asyncio.run(everything())


def test_a_run_saves_everything_in_one_other_thread(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(latency=0.01, prompt_tokens=10, completion_tokens=20)
    save, seen = Saver(pause=0.02), list[Progress]()
    requests = plan(PROMPTS, [spec], 2).requests
    report = go(requests, save, on_progress=seen.append)
    assert {generated.key for generated in save.saved} == {request.key for request in requests}
    assert (report.requested, report.saved, report.usable, report.not_started) == (80, 80, 80, 0)
    assert (report.prompt_tokens, report.completion_tokens, report.tokens_estimated) == (800, 1600, 0)
    assert report.cost == Decimal("0.004") and report.possibly_spent == 0
    assert report.complete and not report.interrupted and not report.stopped_by_budget
    assert len(save.threads) == 1 and threading.get_ident() not in save.threads
    # Answers that arrive while a batch is being saved go into the next one together.
    assert max(len(batch) for batch in save.batches) > 1
    assert [progress.done for progress in seen] == list(range(1, 81))
    assert seen[-1] == Progress(80, 80, 80, 0, 0, 800, 1600, Decimal("0.004"))


def test_an_answer_is_saved_when_it_arrives_and_not_at_the_end(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    slow = {"kind": "status", "status": 503, "headers": {"Retry-After": "0"}, "latency": 0.3}
    endpoint.play(by_text={"Question 1?": slow})
    save = Saver()
    times: list[float] = []

    def timed(batch: list[Generated]) -> None:
        save(batch)
        times.append(time.perf_counter())

    report = go(plan(PROMPTS[:2], [replace(spec, retries=1)], 1).requests, timed)
    assert report.failed == {"HTTP 503": 1}
    assert [generated.prompt_id for generated in save.saved] == [PROMPTS[0].id]
    assert time.perf_counter() - times[0] > 0.4


OUTCOMES = [
    ({"finish_reason": "length"}, Outcome.CUT_OFF),
    ({"finish_reason": "length", "content": ""}, Outcome.CUT_OFF),
    ({"finish_reason": "content_filter", "content": "Some"}, Outcome.FILTERED),
    ({"refusal": "No.", "content": None}, Outcome.REFUSED),
    ({"content": "I cannot help with that."}, Outcome.REFUSED),
    ({"content": ""}, Outcome.EMPTY),
    ({"content": " \n\u200b"}, Outcome.EMPTY),
    ({"content": None}, Outcome.EMPTY),
    ({"content": "Ankara."}, Outcome.USABLE),
    ({"content": "Ankara.", "finish_reason": "eos"}, Outcome.USABLE),
]


@pytest.mark.parametrize(("fault", "outcome"), OUTCOMES, ids=lambda value: ascii(value))
def test_what_is_not_usable_is_marked_and_paid(
    endpoint: RunningEndpoint, spec: ModelSpec, fault: dict[str, Any], outcome: Outcome
) -> None:
    endpoint.play(sequence=[{"kind": "ok", **fault}])
    save = Saver()
    report = go(plan(PROMPTS[:1], [spec], 1).requests, save)
    (generated,) = save.saved
    assert generated.outcome is outcome
    assert (report.usable, report.marked) == ((1, {}) if outcome is Outcome.USABLE else (0, {outcome.value: 1}))
    assert report.complete and report.cost == generated.cost == Decimal("0.00005")
    completion = generated.completion()
    assert (completion.prompt_id, completion.origin, completion.text) == (PROMPTS[0].id, "one", generated.text)
    assert completion.refusal is (outcome is Outcome.REFUSED)
    assert completion.finish_reason is generated.finish_reason


def test_a_rejected_request_is_recorded_with_its_reason(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    fault = {"kind": "status", "status": 400, "error": {"message": "context length exceeded"}}
    endpoint.play(by_text={"Question 1?": fault})
    save = Saver()
    report = go(plan(PROMPTS[:3], [spec], 1).requests, save)
    (rejected,) = [generated for generated in save.saved if generated.outcome is Outcome.REJECTED]
    assert (rejected.error, rejected.prompt_id) == ("context length exceeded.", PROMPTS[1].id)
    assert rejected.cost == 0
    assert report.marked == {"rejected": 1} and report.usable == 2 and report.complete
    with pytest.raises(ValueError, match="rejected"):
        rejected.completion()


def test_unknown_prices_and_uncounted_tokens_are_said(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(sequence=[{"kind": "ok", "usage": None}])
    report = go(plan(PROMPTS[:2], [replace(spec, prices=None)], 1).requests, Saver())
    assert (report.cost, report.tokens_estimated) == (None, 1)


@pytest.mark.slow
def test_faults_on_the_wire_lose_nothing_and_bill_nothing_twice(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    shares = {"429": 0.1, "500": 0.1, "503": 0.1, "reset": 0.1, "half": 0.1, "half_json": 0.1, "html": 0.05}
    for seed in range(3):
        endpoint.play(shares=shares, seed=seed, retry_after=0.02, latency=0.01)
        existing: list[ExistingAnswer] = []
        requests = first = plan(PROMPTS, [replace(spec, retries=2)], 2).requests
        saved: list[Generated] = []
        for _ in range(20):
            save = Saver()
            report = go(requests, save)
            assert report.saved + sum(report.failed.values()) + report.not_started == report.requested
            saved += save.saved
            existing += [
                ExistingAnswer(generated.prompt_id, generated.fingerprint, generated.sample, usable=True)
                for generated in save.saved
            ]
            requests = plan(PROMPTS, [replace(spec, retries=2)], 2, existing).requests
            if not requests:
                break
        assert {generated.key for generated in saved} == {request.key for request in first}
        assert len(saved) == 80
        stats = endpoint.stats()
        assert (stats["billed"], stats["billed_most_for_one_key"]) == (80, 1)
        assert stats["requests"] > 80


@pytest.mark.parametrize("dollars", ["0", "0.001", "0.003", "0.0051", "1"])
def test_the_spend_limit_is_hard(endpoint: RunningEndpoint, spec: ModelSpec, dollars: str) -> None:
    # Every answer costs its worst case in completion tokens.
    endpoint.play(latency=0.02, prompt_tokens=30, completion_tokens=100)
    limit = Decimal(dollars)
    requests = plan(PROMPTS, [spec], 1).requests
    worst = max(request.cost_at_most() or Decimal(0) for request in requests)
    save = Saver()
    report = go(requests, save, budget=Budget(limit))
    billed = endpoint.stats()["billed"]
    cost = Prices.of(1, 2).cost(30 * billed, 100 * billed)
    assert report.cost == cost <= limit
    assert len(save.saved) == billed == report.saved
    assert report.stopped_by_budget is (billed < 40) and report.complete is (billed == 40)
    assert report.not_started == 40 - billed
    # It stops only where the next worst case does not fit.
    assert billed == 40 or cost + worst > limit


def test_what_earlier_runs_spent_counts(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    requests = plan(PROMPTS, [spec], 1).requests
    report = go(requests, Saver(), budget=Budget(Decimal(5), spent=Decimal(5)))
    assert report.stopped_by_budget and endpoint.stats()["requests"] == 0


def test_a_limit_waits_for_what_is_under_way(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    """One worst case fits at a time, and the answers are cheap: all forty are asked, one after another."""
    endpoint.play(prompt_tokens=1, completion_tokens=1)
    requests = plan(PROMPTS, [spec], 1).requests
    worst = max(request.cost_at_most() or Decimal(0) for request in requests)
    report = go(requests, Saver(), budget=Budget(worst * 3 / 2))
    assert report.complete and not report.stopped_by_budget
    assert endpoint.stats()["most_in_flight"] == 1


def test_those_who_waited_for_the_limit_ask_when_there_is_room(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    """A long prompt keeps most of the limit for itself, and once it is answered all eight workers ask."""
    endpoint.play(latency=0.1, prompt_tokens=1, completion_tokens=1)
    requests = plan([prompt("word " * 1000), *PROMPTS], [spec], 1).requests
    long, short = (requests[number].cost_at_most() or Decimal(0) for number in (0, 1))
    assert long > 20 * short
    report = go(requests, Saver(), budget=Budget(long + 2 * short))
    assert report.complete
    assert endpoint.stats()["most_in_flight"] == 8


def test_answers_lost_on_the_way_count_as_spent(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    # An endpoint that bills again and again, and no answer comes through.
    endpoint.play(by_text={"": {"kind": "half"}}, idempotency=False, completion_tokens=100)
    requests = plan(PROMPTS, [replace(spec, retries=50)], 1).requests
    worst = min(request.cost_at_most() or Decimal(0) for request in requests)
    report = go(requests, Saver(), budget=Budget(worst * 20))
    assert report.stopped_by_budget and report.saved == 0
    assert 10 < endpoint.stats()["billed"] <= 20
    assert report.possibly_spent <= worst * 20


def test_guessed_tokens_count_as_the_worst_case(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(by_text={"": {"kind": "ok", "usage": None, "content": "Short."}})
    requests = plan(PROMPTS, [spec], 1).requests
    worst = min(request.cost_at_most() or Decimal(0) for request in requests)
    report = go(requests, Saver(), budget=Budget(worst * 10))
    assert report.stopped_by_budget and 8 <= report.saved <= 10


def test_a_limit_needs_prices(spec: ModelSpec) -> None:
    with pytest.raises(UsageError, match="prices of model 'one'"):
        go(plan(PROMPTS, [replace(spec, prices=None)], 1).requests, Saver(), budget=Budget(Decimal(1)))


def test_a_wrong_key_stops_at_once_and_keeps_what_arrived(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    refused = {"kind": "status", "status": 401, "latency": 0.02}
    endpoint.play(sequence=[{"kind": "ok"}] * 10 + [refused], latency=0.1)
    save = Saver()
    started = time.perf_counter()
    with pytest.raises(ModelAccessError, match="refuses the key"):
        go(plan(PROMPTS, [spec], 1).requests, save)
    stats = endpoint.stats()
    # Those under way were waited for, none was started after.
    assert len(save.saved) == stats["delivered"] == stats["billed"]
    assert len(save.saved) >= 10 and stats["requests"] <= 10 + 1 + 8
    assert time.perf_counter() - started < 5


def test_a_dead_model_is_given_up_and_the_others_go_on(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    always = {"by_text": {"": {"kind": "status", "status": 503}}}
    with running_endpoint("--script", json.dumps(always)) as dead:
        two = replace(spec, name="two", base_url=dead.base_url, retries=1)
        requests = plan(PROMPTS, [spec, two], 2).requests
        report = go(requests, Saver())
        assert dead.stats()["requests"] <= 2 * (FAILURES_IN_A_ROW + two.concurrency)
    assert report.stopped_models == {"two": "HTTP 503"}
    assert report.usable == 40 and not report.complete
    assert report.not_started + sum(report.failed.values()) == 40


def test_a_save_that_fails_stops_the_run_and_is_tried_once_more(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(latency=0.02)
    save = Saver(fails={2: StoreFullError("The disk is full.")})
    with pytest.raises(StoreFullError):
        go(plan(PROMPTS, [replace(spec, concurrency=4)], 1).requests, save)
    assert len(save.saved) == endpoint.stats()["billed"] < 40


def test_a_bug_is_not_swallowed(spec: ModelSpec) -> None:
    def broken(text: str) -> bool:
        raise ZeroDivisionError

    async def everything() -> None:
        async with LanguageModel(spec, rng=random.Random(7)) as model:
            await run(plan(PROMPTS, [spec], 1).requests, {"one": model}, Saver(), is_refusal=broken)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(everything())


def test_nothing_to_do() -> None:
    report = go([], Saver())
    assert report.complete and report.requested == report.saved == 0


def test_cancelling_saves_what_is_under_way(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(latency=0.3)
    save = Saver()

    async def everything() -> None:
        async with LanguageModel(spec, rng=random.Random(7)) as model:
            requests = plan(PROMPTS, [spec], 1).requests
            task = asyncio.create_task(run(requests, {"one": model}, save, is_refusal=is_refusal))
            while endpoint.stats()["in_flight"] < 8:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(everything())
    assert len(save.saved) == endpoint.stats()["billed"] == 8


def test_cancelling_waits_for_the_grace_and_no_longer(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(by_text={"": {"kind": "silence"}})

    async def everything() -> float:
        async with LanguageModel(spec, rng=random.Random(7)) as model:
            requests = plan(PROMPTS, [spec], 1).requests
            task = asyncio.create_task(run(requests, {"one": model}, Saver(), is_refusal=is_refusal, grace=0.2))
            while endpoint.stats()["in_flight"] < 8:
                await asyncio.sleep(0.01)
            started = time.perf_counter()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return time.perf_counter() - started

    assert 0.15 < asyncio.run(everything()) < 2.0


def test_generate_names_the_variable_that_is_not_set(spec: ModelSpec) -> None:
    requests = plan(PROMPTS, [replace(spec, api_key_variable="TEAM_KEY")], 1).requests
    for keys in ({}, {"TEAM_KEY": ""}):
        with pytest.raises(ConfigError, match="TEAM_KEY is not set"):
            generate(requests, keys, Saver(), is_refusal=is_refusal, rng=random.Random(7))


def test_generate_uses_each_model_s_own_key(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(key="sk-1")
    one = replace(spec, api_key_variable="ONE_KEY")
    requests = plan(PROMPTS, [one], 1).requests
    report = generate(requests, {"ONE_KEY": "sk-1"}, Saver(), is_refusal=is_refusal, rng=random.Random(7))
    assert report.complete
    with pytest.raises(ModelAccessError, match="ONE_KEY"):
        generate(requests, {"ONE_KEY": "sk-2"}, Saver(), is_refusal=is_refusal, rng=random.Random(7))


# Another process, interrupted and killed


def start_driver(endpoint: RunningEndpoint, database: Path, concurrency: int) -> subprocess.Popen[str]:
    wish = {
        "base_url": endpoint.base_url,
        "database": str(database),
        "prompts": 100,
        "answers": 2,
        "concurrency": concurrency,
        "path": sys.path,
    }
    command = [sys.executable, str(Path(__file__).with_name("generate_driver.py")), json.dumps(wish)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def answers_in(database: Path) -> dict[str, str]:
    if not database.exists():
        return {}
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT key, text FROM answers").fetchall())


@pytest.mark.slow
def test_ctrl_c_once_stops_in_good_order(endpoint: RunningEndpoint, tmp_path: Path) -> None:
    endpoint.play(latency=0.2)
    database = tmp_path / "answers.db"
    with start_driver(endpoint, database, 16) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "begin 200\n"
        while endpoint.stats()["delivered"] < 16:
            time.sleep(0.02)
        driver.send_signal(signal.SIGINT)
        report = json.loads(driver.stdout.readline())
        assert driver.wait() == 0
    stats = endpoint.stats()
    assert report["interrupted"] and not report["complete"]
    assert len(answers_in(database)) == report["saved"] == stats["billed"] == stats["delivered"] < 200


@pytest.mark.slow
@pytest.mark.parametrize("idempotency", [True, False], ids=["with keys", "without keys"])
def test_kill_at_any_moment(endpoint: RunningEndpoint, tmp_path: Path, idempotency: bool) -> None:
    """Killed sixteen times at random moments: nothing saved is lost, and what is billed twice was under way."""
    concurrency, kills = 8, 16
    draw = random.Random(20261122 + idempotency)
    endpoint.play(latency=0.05, idempotency=idempotency)
    database = tmp_path / "answers.db"
    before: dict[str, str] = {}
    killed = excess_before = 0
    while killed < kills:
        with start_driver(endpoint, database, concurrency) as driver:
            assert driver.stdout is not None
            line = driver.stdout.readline()
            assert line.startswith("begin "), "the driver failed"
            missing = int(line.split()[1])
            # Mostly in the first rounds of questions, so that many kills fit into 200 answers.
            time.sleep(draw.choice((0.0, 0.02, 0.05, 0.08, 0.12)) + draw.random() * 0.1)
            driver.kill()
            rest = driver.stdout.read()
        killed += 1
        assert missing == 200 - len(before)
        if rest:
            break
        while endpoint.stats()["in_flight"]:
            time.sleep(0.01)
        saved = answers_in(database)
        assert before.items() <= saved.items()
        before = saved
        # What was billed and not saved, or billed twice.
        excess = endpoint.stats()["billed"] - len(saved)
        if not idempotency:
            assert excess - excess_before <= concurrency
        excess_before = excess
    with start_driver(endpoint, database, concurrency) as driver:
        assert driver.stdout is not None
        assert int(driver.stdout.readline().split()[1]) == 200 - len(before)
        assert json.loads(driver.stdout.readline())["complete"]
    final, stats = answers_in(database), endpoint.stats()
    assert before.items() <= final.items() and len(final) == 200
    assert killed == kills, "it finished before it was killed often enough"
    assert stats["requests"] > 200, "no kill hit a question that was under way"
    if idempotency:
        assert (stats["billed"], stats["billed_most_for_one_key"]) == (200, 1)
    else:
        assert 200 < stats["billed"] <= 200 + kills * concurrency


def test_finish_reasons_are_kept(endpoint: RunningEndpoint, spec: ModelSpec) -> None:
    endpoint.play(by_text={"": {"kind": "ok", "finish_reason": "length"}})
    save = Saver()
    go(plan(PROMPTS[:1], [spec], 1).requests, save)
    assert save.saved[0].finish_reason is FinishReason.LENGTH
