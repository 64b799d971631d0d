"""Which answers are missing, and getting them: plan, estimate, run. Knows models and prompts, and no store.

Three promises, each with its tests:

- What was paid for is saved. Every answer goes to ``save`` when it arrives, together with the others that arrived while
  the batch before was being saved. A worker asks its next question when its last answer is saved, so a kill loses what
  was under way, at most ``concurrency`` answers a model, and nothing else.
- Nothing is paid for twice. What is saved is never asked for again, and a request keeps its key (its Idempotency-Key)
  over every attempt and every run.
- A spend limit is hard. A request starts only if what was spent, plus the worst case of all that is under way and of
  what was lost on the way back, plus its own worst case, stays within it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from pref_argilla.errors import (
    ConfigError,
    ModelAccessError,
    ModelUnavailableError,
    PrefArgillaError,
    RequestRejectedError,
    UsageError,
)
from pref_argilla.llm import Answer, LanguageModel
from pref_argilla.models import ModelSpec, prompt_tokens_about, prompt_tokens_at_most
from pref_argilla.schema import Completion, FinishReason, Prompt, content_id
from pref_argilla.text import is_empty

FAILURES_IN_A_ROW = 8
"""A model of which so many requests one after another came to nothing, each with all its retries, is given up."""


class Outcome(StrEnum):
    """What became of a request that was answered. Only ``USABLE`` counts towards the answers wanted."""

    USABLE = "usable"
    CUT_OFF = "cut_off"
    FILTERED = "filtered"
    REFUSED = "refused"
    EMPTY = "empty"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ExistingAnswer:
    """An answer that is there already: generated, imported (``fingerprint`` empty), or a request that was rejected.

    ``usable`` is False for one that was cut off, refused, empty, a duplicate or rejected. After ``rejected`` this
    prompt is not sent to this model again.
    """

    prompt_id: str
    fingerprint: str
    sample: int
    usable: bool
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """``key`` is ``g`` and 20 hexadecimal digits over the prompt, the model's fingerprint and the sample."""

    prompt: Prompt
    spec: ModelSpec
    sample: int
    key: str

    @staticmethod
    def of(prompt: Prompt, spec: ModelSpec, sample: int) -> GenerationRequest:
        return GenerationRequest(prompt, spec, sample, content_id("g", prompt.id, spec.fingerprint, sample))

    def cost_at_most(self) -> Decimal | None:
        """Dollars, or None where the price is unknown."""
        if self.spec.prices is None:
            return None
        prompt_tokens = prompt_tokens_at_most(self.spec.conversation(self.prompt.messages))
        return self.spec.prices.cost(prompt_tokens, self.spec.max_tokens)


@dataclass(frozen=True, slots=True)
class Plan:
    """``short`` says which prompts will lack how many answers, because no model may be asked for more."""

    requests: tuple[GenerationRequest, ...]
    short: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Before anything is spent. The costs are in dollars, None where a price is unknown."""

    requests: int
    prompt_tokens: int
    completion_tokens_at_most: int
    cost_at_most: Decimal | None


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer as it is saved. ``cost`` in dollars, None where the price is unknown; ``latency`` in seconds.

    ``origin`` is the model's name in the project, ``model`` what the endpoint says answered. ``error`` says why a
    request was REJECTED. ``tokens_estimated``: the endpoint did not count, so the tokens and the cost are our guess.
    """

    key: str
    prompt_id: str
    origin: str
    fingerprint: str
    sample: int
    outcome: Outcome
    text: str
    finish_reason: FinishReason
    refusal: bool
    prompt_tokens: int
    completion_tokens: int
    tokens_estimated: bool
    cost: Decimal | None
    model: str
    latency: float
    error: str = ""

    def completion(self) -> Completion:
        """Raises ValueError for a rejected request, which has none."""
        if self.outcome is Outcome.REJECTED:
            raise ValueError("a rejected request has no completion")
        return Completion.of(
            self.prompt_id,
            self.origin,
            self.text,
            finish_reason=self.finish_reason,
            refusal=self.refusal,
            sample=self.sample,
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """Dollars. ``spent`` counts towards the limit: what earlier runs spent."""

    limit: Decimal
    spent: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` requests are saved or failed. ``cost`` in dollars, None where a price is unknown."""

    total: int
    done: int
    usable: int
    failed: int
    in_flight: int
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class GenerateReport:
    """What a run did.

    ``saved`` counts answers and rejected requests; ``marked`` the saved ones that are not usable, by outcome;
    ``failed`` the requests without an answer, by cause: the next run asks them again. ``cost`` is in dollars, of what
    was saved, None where a price is unknown; ``possibly_spent`` is the worst case of what was sent and did not come
    back whole.
    ``stopped_models`` names each model that was given up, with the reason.
    """

    requested: int
    saved: int
    usable: int
    marked: Mapping[str, int]
    failed: Mapping[str, int]
    not_started: int
    prompt_tokens: int
    completion_tokens: int
    tokens_estimated: int
    cost: Decimal | None
    possibly_spent: Decimal
    stopped_by_budget: bool
    interrupted: bool
    stopped_models: Mapping[str, str]
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every request has its answer (usable or not)."""
        return self.saved == self.requested


def plan(
    prompts: Sequence[Prompt],
    specs: Sequence[ModelSpec],
    answers_per_prompt: int,
    existing: Iterable[ExistingAnswer] = (),
    *,
    max_attempts: int = 3,
) -> Plan:
    """The requests that bring every prompt to ``answers_per_prompt`` usable answers, and no more.

    Missing answers go to the model that has the fewest for this prompt; equals take turns in the order of ``specs``,
    starting at one that the prompt's id decides, so that no model is asked more than the others over many prompts.
    A model gives at most ``spec.samples`` usable answers to a prompt, and after ``max_attempts`` unusable ones it is
    not asked for this prompt again. Answers of other origins in ``existing`` count as well.

    Raises UsageError where the models could never give that many, or two models have one name.
    """
    _check_wishes(specs, answers_per_prompt, max_attempts)
    by_prompt: dict[str, list[ExistingAnswer]] = {}
    for answer in existing:
        by_prompt.setdefault(answer.prompt_id, []).append(answer)
    fingerprints = [spec.fingerprint for spec in specs]
    requests: list[GenerationRequest] = []
    short: list[tuple[str, int]] = []
    for prompt in {prompt.id: prompt for prompt in prompts}.values():
        there = by_prompt.get(prompt.id, [])
        missing = answers_per_prompt - sum(answer.usable for answer in there)
        models = [
            _Share(spec, [answer for answer in there if answer.fingerprint == fingerprint], max_attempts)
            for spec, fingerprint in zip(specs, fingerprints, strict=True)
        ]
        first = int(prompt.id[1:], 16) % len(models)
        turns = models[first:] + models[:first]
        while missing > 0:
            willing = [share for share in turns if share.may_be_asked()]
            if not willing:
                short.append((prompt.id, missing))
                break
            share = min(willing, key=lambda share: share.usable)
            requests.append(GenerationRequest.of(prompt, share.spec, share.take()))
            missing -= 1
    return Plan(tuple(requests), tuple(short))


def _check_wishes(specs: Sequence[ModelSpec], answers_per_prompt: int, max_attempts: int) -> None:
    if answers_per_prompt < 1 or max_attempts < 1:
        raise UsageError("The answers for a prompt and the attempts must be 1 or more.")
    names = Counter(spec.name for spec in specs)
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise UsageError(f"Two models have the name {twice[0]!r}.", next_step="Give each model a name of its own.")
    most = sum(answers_per_prompt if spec.samples is None else spec.samples for spec in specs)
    if most < answers_per_prompt:
        raise UsageError(
            f"{answers_per_prompt} answers for each prompt are wanted, and the models give at most {most}.",
            next_step="Raise their `samples`, add a model, or ask for fewer answers.",
        )


class _Share:
    """What one model has given to one prompt so far, and may still be asked."""

    __slots__ = ("_closed", "_samples", "spec", "usable")

    def __init__(self, spec: ModelSpec, there: Sequence[ExistingAnswer], max_attempts: int) -> None:
        self.spec = spec
        self.usable = sum(answer.usable for answer in there)
        self._samples = {answer.sample for answer in there}
        self._closed = any(answer.rejected for answer in there) or len(there) - self.usable >= max_attempts

    def may_be_asked(self) -> bool:
        return not self._closed and (self.spec.samples is None or self.usable < self.spec.samples)

    def take(self) -> int:
        """The lowest sample that is not there: one whose request failed keeps its number, and so its key."""
        sample = next(number for number in range(len(self._samples) + 1) if number not in self._samples)
        self._samples.add(sample)
        self.usable += 1
        return sample


def estimate(requests: Sequence[GenerationRequest]) -> Estimate:
    """What the requests can cost at most, and roughly how many prompt tokens they send."""
    costs = [request.cost_at_most() for request in requests]
    known = [cost for cost in costs if cost is not None]
    return Estimate(
        requests=len(requests),
        prompt_tokens=sum(prompt_tokens_about(r.spec.conversation(r.prompt.messages)) for r in requests),
        completion_tokens_at_most=sum(request.spec.max_tokens for request in requests),
        cost_at_most=sum(known, Decimal(0)) if len(known) == len(costs) else None,
    )


def generate(
    requests: Sequence[GenerationRequest],
    keys: Mapping[str, str],
    save: Callable[[list[Generated]], None],
    *,
    is_refusal: Callable[[str], bool],
    rng: random.Random,
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_lost: Callable[[Decimal], None] | None = None,
    grace: float = 10.0,
) -> GenerateReport:
    """``run`` in an event loop of its own, with the clients it needs. For code that is not async.

    ``on_lost`` is called once, at the end or when anything is raised, if dollars may have been billed for answers that
    never came: the same figure as the report's ``possibly_spent``, and after a second Ctrl+C what was under way.

    ``keys`` maps the names of environment variables to their values. Ctrl+C once stops in good order and returns a
    report that says ``interrupted``; twice raises KeyboardInterrupt.

    Raises ConfigError where a key is not set, and what ``run`` raises.
    """
    specs = {request.spec.name: request.spec for request in requests}
    missing = {spec.api_key_variable: spec.name for spec in specs.values() if not keys.get(spec.api_key_variable)}
    missing.pop("", None)
    if missing:
        variable, name = next(iter(missing.items()))
        raise ConfigError(
            f"The environment variable {variable} is not set.",
            cause=f"Model {name!r} takes its key from it.",
            next_step=f'Set {variable}, or write `api_key_variable = ""` for a model that needs no key.',
        )

    job: _Run | None = None

    async def everything() -> GenerateReport:
        nonlocal job
        async with AsyncExitStack() as stack:
            models = {
                name: await stack.enter_async_context(
                    LanguageModel(spec, keys.get(spec.api_key_variable, ""), rng=random.Random(rng.random()))
                )
                for name, spec in specs.items()
            }
            job = _Run(requests, models, save, is_refusal, budget, on_progress, grace)
            try:
                return await job.run()
            except asyncio.CancelledError:
                # Ctrl+C, after everything that arrived is saved.
                return job.report()

    try:
        return asyncio.run(everything())
    finally:
        if job is not None and on_lost is not None and (lost := job.lost_dollars()):
            on_lost(lost)


async def run(
    requests: Sequence[GenerationRequest],
    models: Mapping[str, LanguageModel],
    save: Callable[[list[Generated]], None],
    *,
    is_refusal: Callable[[str], bool],
    budget: Budget | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    grace: float = 10.0,
) -> GenerateReport:
    """Asks all requests, each model at its own concurrency, and saves every answer as it arrives.

    ``models`` has an opened LanguageModel by each spec's name. ``save`` is called in one other thread, always the same,
    with one or more answers; it must save them all or none. When the run is stopped (cancelled, wrong key, spend
    limit), answers under way are waited for ``grace`` seconds, since they are paid for.

    Raises, after saving what arrived: ModelAccessError, whatever ``save`` raised, CancelledError. Raises UsageError for
    a budget over a model without prices.
    """
    return await _Run(requests, models, save, is_refusal, budget, on_progress, grace).run()


@dataclass(slots=True)
class _Money:
    """Where every dollar of the limit is: spent, reserved for what is under way, or perhaps lost on the way."""

    limit: Decimal | None
    spent: Decimal = Decimal(0)
    lost: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)

    def fits(self, more: Decimal) -> bool:
        return self.limit is None or self.spent + self.lost + self.reserved + more <= self.limit


@dataclass(slots=True)
class _Tally:
    saved: int = 0
    usable: int = 0
    marked: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tokens_estimated: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0

    def add(self, generated: Generated) -> None:
        self.saved += 1
        if generated.outcome is Outcome.USABLE:
            self.usable += 1
        else:
            self.marked[generated.outcome.value] += 1
        self.prompt_tokens += generated.prompt_tokens
        self.completion_tokens += generated.completion_tokens
        self.tokens_estimated += generated.tokens_estimated
        if generated.cost is None:
            self.unpriced += 1
        else:
            self.cost += generated.cost


class _Run:
    def __init__(
        self,
        requests: Sequence[GenerationRequest],
        models: Mapping[str, LanguageModel],
        save: Callable[[list[Generated]], None],
        is_refusal: Callable[[str], bool],
        budget: Budget | None,
        on_progress: Callable[[Progress], None] | None,
        grace: float,
    ) -> None:
        if budget is not None and (unpriced := [r.spec.name for r in requests if r.spec.prices is None]):
            raise UsageError(
                f"A spend limit needs the prices of model {unpriced[0]!r}.",
                next_step="Give its prices in pref-argilla.toml (0 where it costs nothing), or run without a limit.",
            )
        self._requests = requests
        self._models = models
        self._is_refusal = is_refusal
        self._on_progress = on_progress
        self._grace = grace
        self._queues: dict[str, deque[GenerationRequest]] = {}
        for request in requests:
            self._queues.setdefault(request.spec.name, deque()).append(request)
        self._money = _Money(None) if budget is None else _Money(budget.limit, budget.spent)
        self._tally = _Tally()
        self._writer = _Writer(save)
        self._stop = asyncio.Event()
        self._settled = asyncio.Condition()
        self._in_flight = 0
        self._failures_in_a_row: Counter[str] = Counter()
        self._stopped_models: dict[str, str] = {}
        self._stopped_by_budget = False
        self._interrupted = False
        self._error: BaseException | None = None
        self._started = time.perf_counter()

    async def run(self) -> GenerateReport:
        self._started = time.perf_counter()
        writer = asyncio.create_task(self._writer.run())
        workers = [
            asyncio.create_task(self._work(self._models[name], queue))
            for name, queue in self._queues.items()
            for _ in range(min(self._models[name].spec.concurrency, len(queue)))
        ]
        finished = asyncio.create_task(_until_done(workers))
        stopped = asyncio.create_task(self._stop.wait())
        try:
            try:
                await asyncio.wait({finished, stopped}, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                self._interrupted = True
            await self._wind_up(workers, writer)
        finally:
            # Only a second cancellation finds any of them at work.
            for task in (*workers, writer, finished, stopped):
                task.cancel()
        if self._error is not None:
            raise self._error
        if self._interrupted:
            raise asyncio.CancelledError
        return self.report()

    async def _wind_up(self, workers: Sequence[asyncio.Task[None]], writer: asyncio.Task[None]) -> None:
        """Whatever ended the run: what is under way may still arrive, and all that arrived is saved."""
        self._stop.set()
        await self._wake_all()
        if workers:
            _, late = await asyncio.wait(workers, timeout=self._grace)
            for task in late:
                task.cancel()
            for result in await asyncio.gather(*workers, return_exceptions=True):
                if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                    self._fail(result)
        self._writer.close()
        await writer
        if self._writer.error is not None:
            self._fail(self._writer.error)

    async def _work(self, model: LanguageModel, queue: deque[GenerationRequest]) -> None:
        """One of a model's workers: reserve, ask, save, again."""
        while not self._stop.is_set() and queue:
            request = queue.popleft()
            worst = await self._reserve(request)
            if worst is None:
                queue.appendleft(request)
                return
            self._in_flight += 1
            try:
                generated = await self._ask(model, request, worst)
            finally:
                self._in_flight -= 1
                self._money.reserved -= worst
                await self._wake_all()
            if generated is not None:
                if not await self._writer.save(generated):
                    self._stop.set()
                    return
                self._tally.add(generated)
            self._tell()

    async def _reserve(self, request: GenerationRequest) -> Decimal | None:
        """Keeps the request's worst case free; None where the run stops before it fits.

        Where it does not fit now, what is under way may turn out cheaper than its worst case: wait for it.
        """
        worst = request.cost_at_most() or Decimal(0)
        async with self._settled:
            while not self._stop.is_set():
                if self._money.fits(worst):
                    self._money.reserved += worst
                    return worst
                if self._in_flight == 0:
                    self._stopped_by_budget = True
                    self._stop.set()
                    break
                await self._settled.wait()
        return None

    async def _wake_all(self) -> None:
        async with self._settled:
            self._settled.notify_all()

    async def _ask(self, model: LanguageModel, request: GenerationRequest, worst: Decimal) -> Generated | None:
        """The answer, or None for one that did not come; the reasons are counted."""
        over_the_limit = False

        def lost() -> bool:
            nonlocal over_the_limit
            self._money.lost += worst
            over_the_limit = not self._money.fits(Decimal(0))
            return not over_the_limit

        name = request.spec.name
        try:
            answer = await model.ask(
                request.prompt.messages,
                sample=request.sample,
                idempotency_key=request.key,
                stop=self._stop,
                on_lost=lost,
            )
        except asyncio.CancelledError:
            self._money.lost += worst
            raise
        except ModelAccessError as error:
            self._fail(error)
            return None
        except RequestRejectedError as error:
            self._failures_in_a_row[name] = 0
            return _rejected(request, error)
        except ModelUnavailableError as error:
            self._tally.failed[error.cause] += 1
            if over_the_limit:
                self._stopped_by_budget = True
                self._stop.set()
            self._failures_in_a_row[name] += 1
            if self._failures_in_a_row[name] >= FAILURES_IN_A_ROW and not self._stop.is_set():
                self._stopped_models[name] = error.cause
                self._queues[name].clear()
            return None
        self._failures_in_a_row[name] = 0
        generated = self._judge(request, answer)
        spent = generated.cost or Decimal(0)
        self._money.spent += spent
        if answer.tokens_estimated:
            # Only a guess: the limit reckons with the worst case.
            self._money.lost += max(Decimal(0), worst - spent)
        return generated

    def _judge(self, request: GenerationRequest, answer: Answer) -> Generated:
        refusal = answer.refusal or self._is_refusal(answer.text)
        if answer.finish_reason is FinishReason.CONTENT_FILTER:
            outcome = Outcome.FILTERED
        elif answer.finish_reason is FinishReason.LENGTH:
            outcome = Outcome.CUT_OFF
        elif refusal:
            outcome = Outcome.REFUSED
        elif is_empty(answer.text):
            outcome = Outcome.EMPTY
        else:
            outcome = Outcome.USABLE
        prices = request.spec.prices
        return Generated(
            key=request.key,
            prompt_id=request.prompt.id,
            origin=request.spec.name,
            fingerprint=request.spec.fingerprint,
            sample=request.sample,
            outcome=outcome,
            text=answer.text,
            finish_reason=answer.finish_reason,
            refusal=refusal,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            tokens_estimated=answer.tokens_estimated,
            cost=None if prices is None else prices.cost(answer.prompt_tokens, answer.completion_tokens),
            model=answer.model,
            latency=answer.latency,
        )

    def _fail(self, error: BaseException) -> None:
        """The first error is the one that is told; a bug before all that people can do something about."""
        if self._error is None or (
            isinstance(self._error, PrefArgillaError) and not isinstance(error, PrefArgillaError)
        ):
            self._error = error
        self._stop.set()

    def _tell(self) -> None:
        if self._on_progress is None:
            return
        tally = self._tally
        failed = tally.failed.total()
        self._on_progress(
            Progress(
                total=len(self._requests),
                done=tally.saved + failed,
                usable=tally.usable,
                failed=failed,
                in_flight=self._in_flight,
                prompt_tokens=tally.prompt_tokens,
                completion_tokens=tally.completion_tokens,
                cost=None if tally.unpriced else tally.cost,
            )
        )

    def lost_dollars(self) -> Decimal:
        """Worst case of what was sent and did not come back, what is still under way included."""
        return self._money.lost + self._money.reserved

    def report(self) -> GenerateReport:
        tally = self._tally
        return GenerateReport(
            requested=len(self._requests),
            saved=tally.saved,
            usable=tally.usable,
            marked=dict(tally.marked),
            failed=dict(tally.failed),
            not_started=len(self._requests) - tally.saved - tally.failed.total(),
            prompt_tokens=tally.prompt_tokens,
            completion_tokens=tally.completion_tokens,
            tokens_estimated=tally.tokens_estimated,
            cost=None if tally.unpriced else tally.cost,
            possibly_spent=self._money.lost,
            stopped_by_budget=self._stopped_by_budget,
            interrupted=self._interrupted,
            stopped_models=dict(self._stopped_models),
            seconds=time.perf_counter() - self._started,
        )


async def _until_done(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Returns when all are done, or one has failed."""
    if tasks:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)


class _Writer:
    """Group commit: while one batch is being saved in its thread, the next one gathers."""

    def __init__(self, save: Callable[[list[Generated]], None]) -> None:
        self._save = save
        self._waiting: list[tuple[Generated, asyncio.Future[bool]]] = []
        self._unsaved: list[Generated] = []
        self._news = asyncio.Event()
        self._closed = False
        self.error: Exception | None = None

    async def save(self, generated: Generated) -> bool:
        """Returns when it is saved; False where saving failed, which ``error`` explains."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((generated, done))
        self._news.set()
        return await done

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        # One thread, always the same: what SQLite connections like best.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="save") as thread:
            while not (self._closed and not self._waiting):
                await self._news.wait()
                self._news.clear()
                batch, self._waiting = self._waiting, []
                if batch:
                    saved = await self._try(thread, [generated for generated, _ in batch])
                    for _, done in batch:
                        if not done.cancelled():
                            done.set_result(saved)
            if self._unsaved:
                # They are paid for, and what kept them out (a full disk, a lock) may have gone.
                unsaved, self._unsaved = self._unsaved, []
                await self._try(thread, unsaved)

    async def _try(self, thread: ThreadPoolExecutor, batch: list[Generated]) -> bool:
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._save, batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run stops and raises it
            self.error = self.error or error
            self._unsaved += batch
            return False
        return True


def _rejected(request: GenerationRequest, error: RequestRejectedError) -> Generated:
    return Generated(
        key=request.key,
        prompt_id=request.prompt.id,
        origin=request.spec.name,
        fingerprint=request.spec.fingerprint,
        sample=request.sample,
        outcome=Outcome.REJECTED,
        text="",
        finish_reason=FinishReason.UNKNOWN,
        refusal=False,
        prompt_tokens=0,
        completion_tokens=0,
        tokens_estimated=False,
        cost=Decimal(0),
        model=request.spec.model,
        latency=0.0,
        error=error.cause,
    )
