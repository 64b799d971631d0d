"""``generate`` and ``dedupe``: answers from models, and what repeats."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pref_argilla.cli.options import HERE, JsonOption, ProjectOption, QuietOption, above_zero, command, finite
from pref_argilla.cli.output import Output

if TYPE_CHECKING:
    from pref_argilla.config import Config
    from pref_argilla.dedupe import Duplicate, Encoder
    from pref_argilla.generate import Estimate, GenerateReport, Plan, Progress
    from pref_argilla.models import ModelSpec
    from pref_argilla.steps.deduplicate import DedupeReport
    from pref_argilla.store import Store

# The encoder's name that means: no embeddings.
EXACT_ONLY = "none"


@dataclass(frozen=True, slots=True)
class Asked:
    """A run of ``generate`` and what it leaves. ``report`` is None where nothing was asked.

    ``still_missing`` counts the answers that prompts lack afterwards, ``askable`` those of them that another run can ask
    for, ``short`` the prompts that can never get all of theirs from these models.
    """

    before: Estimate
    report: GenerateReport | None
    askable: int
    short: int
    still_missing: int

    def as_dict(self) -> dict[str, Any]:
        """The same keys whatever happened. Costs in US dollars, None where a price is unknown."""
        report = self.report
        return {
            "requests": self.before.requests,
            "cost_at_most": self.before.cost_at_most,
            "saved": report.saved if report else 0,
            "usable": report.usable if report else 0,
            "marked": dict(report.marked) if report else {},
            "failed": dict(report.failed) if report else {},
            "not_started": report.not_started if report else self.before.requests,
            "prompt_tokens": report.prompt_tokens if report else 0,
            "completion_tokens": report.completion_tokens if report else 0,
            "cost": report.cost if report else Decimal(0),
            "possibly_spent": report.possibly_spent if report else Decimal(0),
            "stopped_by_budget": report.stopped_by_budget if report else False,
            "stopped_models": dict(report.stopped_models) if report else {},
            "interrupted": report.interrupted if report else False,
            "still_missing": self.still_missing,
            "askable": self.askable,
            "short": self.short,
            "seconds": round(report.seconds, 3) if report else 0.0,
        }


def generate(
    answers: Annotated[
        int | None,
        typer.Option(min=2, max=26, help="Answers a prompt; default: [generate] answers.", show_default=False),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0, callback=finite, help="Hard spend limit of the project in US dollars.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask at most so many requests in this run.", show_default=False)
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Only say how many requests and what they cost at most.")
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Have the models answer. Saves each answer as it arrives, asks only for what is missing, never passes the limit."""
    from pref_argilla.config import load_config
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    config = load_config(project)
    config = replace(
        config,
        generate=replace(
            config.generate,
            answers=answers or config.generate.answers,
            max_cost_usd=config.generate.max_cost_usd if max_cost is None else Decimal(str(max_cost)),
        ),
    )
    with Store(project, writable=True) as store:
        asked = ask(store, config, output, limit=limit, only_estimate=estimate)
    interrupted = asked.report is not None and asked.report.interrupted
    if not estimate and not interrupted:
        _say_what_is_next(asked, config, output)
    output.done(asked.as_dict())
    if interrupted:
        raise typer.Exit(130)
    if asked.still_missing and not estimate:
        raise typer.Exit(3)


def _say_what_is_next(asked: Asked, config: Config, output: Output) -> None:
    if asked.askable:
        output.say(
            f"{asked.askable} answers are still to be asked for: run '{command('generate', config.folder)}' again."
        )
    elif asked.short:
        output.say(
            "For more, raise [generate] max_attempts or a model's samples, or add a model; "
            f"to go on with the others: {command('dedupe', config.folder)}"
        )
    else:
        output.say(f"Next: {command('dedupe', config.folder)}")


def ask(
    store: Store, config: Config, output: Output, *, limit: int | None = None, only_estimate: bool = False
) -> Asked:
    """Plan, say what it costs at most, ask, say what it cost, plan again to see what is left."""
    from pref_argilla.cli.environment import model_keys
    from pref_argilla.generate import estimate as estimate_of
    from pref_argilla.steps.answer import answer, budget_of, plan_answers

    planned = plan_answers(store, config, config.models)
    requests = planned.requests[:limit]
    before = estimate_of(requests)
    if only_estimate or not requests:
        if requests:
            output.line(f"{before.requests} answers to ask for, {_money(before.cost_at_most)} at most.")
        elif planned.short:
            output.line("Nothing to ask: every prompt has the answers that it can get.")
        else:
            output.line("Nothing to ask: every prompt has its answers.")
        return _asked(before, None, planned, config, output)
    output.say(
        f"{before.requests} answers to ask for: at most {before.completion_tokens_at_most} tokens written, "
        f"{_money(before.cost_at_most)} at most."
    )
    keys = model_keys(config, config.models)
    with ExitStack() as stack:
        local = _start_local_model(config, output, stack)
        requests = tuple(replace(r, spec=local.get(r.spec.name, r.spec)) for r in requests)
        with output.progress("Answers", len(requests)) as advance:
            report = answer(
                store, requests, keys, budget=budget_of(store, config), on_progress=lambda p: _advance(advance, p)
            )
    total = store.generation_totals()
    output.line(
        f"{report.saved} answers saved, {report.usable} usable"
        f"{_counts(report.marked, 'marked')}{_counts(report.failed, 'failed')}; "
        f"{report.prompt_tokens} + {report.completion_tokens} tokens, "
        f"{_money(report.cost)} (project so far: {_money(total.cost)})"
    )
    for name, why in report.stopped_models.items():
        output.warn(f"{name} was not asked any more: {why}")
    if report.possibly_spent:
        output.warn(
            f"Up to {_money(report.possibly_spent)} more may have been billed for attempts whose answers were lost."
        )
    if report.stopped_by_budget:
        output.warn(f"Stopped at the spend limit; {report.not_started} requests were not started.")
    return _asked(before, report, plan_answers(store, config, config.models), config, output)


def _asked(before: Estimate, report: GenerateReport | None, left: Plan, config: Config, output: Output) -> Asked:
    if left.short:
        output.warn(
            f"{len(left.short)} prompts cannot get {config.generate.answers} usable answers: "
            "the models' samples or attempts are used up."
        )
    missing = len(left.requests) + sum(lacking for _, lacking in left.short)
    return Asked(before, report, askable=len(left.requests), short=len(left.short), still_missing=missing)


def _start_local_model(config: Config, output: Output, stack: ExitStack) -> dict[str, ModelSpec]:
    """The models that stand for the bundled one, with the address at which it now answers."""
    from pref_argilla.local_model import local_model
    from pref_argilla.models import LOCAL_ENDPOINT

    names = [model for model in config.models if model.base_url == LOCAL_ENDPOINT]
    if not names:
        return {}
    output.say(
        "Starting the bundled model: it is small (135 million parameters) and its answers are poor; it needs no key."
    )
    running = stack.enter_context(local_model(log=config.folder / "local-model.log"))
    return {
        model.name: replace(model, base_url=running.base_url, api_key_variable="", concurrency=running.slots)
        for model in names
    }


def _advance(advance: Any, progress: Progress) -> None:
    advance(progress.done, progress.total, f"{progress.usable} usable, {_money(progress.cost)}")


def _money(dollars: Decimal | None) -> str:
    return "unknown cost" if dollars is None else f"${dollars:.4f}"


def _counts(counts: Any, word: str) -> str:
    return f", {word}: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) if counts else ""


def dedupe(
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            callback=above_zero,
            help="Cosine similarity, above 0, for prompts and answers alike.",
            show_default=False,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="A sentence-transformers model, or none for exact duplicates only.", show_default=False),
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="How many duplicates to list.")] = 20,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Mark duplicate prompts, and duplicate answers to one prompt; each says of what and how near. Deletes nothing."""
    from pref_argilla.config import load_config
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    config = load_config(project)
    settings = config.dedupe
    if threshold is not None:
        settings = replace(settings, prompt_threshold=threshold, completion_threshold=threshold)
    if encoder is not None:
        settings = replace(settings, encoder=encoder)
    with Store(project, writable=True) as store:
        config = replace(config, dedupe=settings)
        report = mark_duplicates(store, config, output, open_encoder(config, output), show=show)
    output.say(
        f"Next: {command('generate', project)} tops up what is missing; {command('sync push', project)} sends the rest."
    )
    output.done(
        {
            "prompts": report.prompts,
            "completions": report.completions,
            "encoded": report.encoded,
            "duplicates": [
                {
                    "kind": kind,
                    "id": d.id,
                    "duplicate_of": d.duplicate_of,
                    "score": round(d.score, 6),
                    "method": d.method.value,
                }
                for kind, d in _found(report)
            ],
        }
    )


def open_encoder(config: Config, output: Output) -> Encoder | None:
    """None where the configuration asks for exact duplicates only."""
    from pref_argilla.encoders import load_encoder

    name = config.dedupe.encoder
    if name == EXACT_ONLY:
        return None
    output.say(f"Loading the encoder {name}")
    return load_encoder(name)


def mark_duplicates(
    store: Store, config: Config, output: Output, encoder: Encoder | None, *, show: int
) -> DedupeReport:
    from pref_argilla.steps.deduplicate import deduplicate

    with output.progress("Encoding texts") as advance:
        report = deduplicate(
            store,
            encoder,
            prompt_threshold=config.dedupe.prompt_threshold,
            completion_threshold=config.dedupe.completion_threshold,
            on_progress=lambda what, done, total: advance(done, total, what),
        )
    output.line(
        f"{len(report.prompt_duplicates)} of {report.prompts} prompts and {len(report.completion_duplicates)} of "
        f"{report.completions} answers are duplicates ({report.encoded} texts encoded)"
    )
    found = _found(report)
    if found and show:
        output.table(
            "",
            ("kind", "item", "duplicates", "similarity", "how"),
            [(kind, d.id, d.duplicate_of, f"{d.score:.3f}", d.method.value) for kind, d in found[:show]],
        )
        if len(found) > show:
            output.say(f"… and {len(found) - show} more (--show N)")
    return report


def _found(report: DedupeReport) -> list[tuple[str, Duplicate]]:
    return [("prompt", d) for d in report.prompt_duplicates] + [("answer", d) for d in report.completion_duplicates]
