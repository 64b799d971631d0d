"""``status``: where the project stands, without network."""

from __future__ import annotations

from pref_argilla.cli.options import HERE, JsonOption, ProjectOption, QuietOption
from pref_argilla.cli.output import Output


def status(project: ProjectOption = HERE, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show prompts, answers, duplicates, tasks, rankings by annotator, and the pairs ready to export."""
    from pref_argilla.config import load_config
    from pref_argilla.report.progress import progress
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    config = load_config(project)
    with Store(project, writable=False) as store:
        found = progress(store, config)
    rows: list[tuple[str, object, str]] = [
        ("prompts", found.prompts, f"{found.duplicate_prompts} of them duplicates"),
        (
            "answers",
            sum(found.completions.values()),
            ", ".join(f"{origin} {count}" for origin, count in found.completions.items()),
        ),
        ("  duplicates", found.duplicate_completions, ""),
        (
            "requests",
            found.requests,
            f"{found.prompt_tokens} + {found.completion_tokens} tokens, ${found.cost}"
            + (f" and {found.unpriced_requests} without a price" if found.unpriced_requests else ""),
        ),
        *(("  " + name, count, "") for name, count in found.outcomes.items() if name != "usable"),
        ("tasks", found.tasks, f"{found.sent} in Argilla, {found.ready_to_send} ready to send"),
        *(("  held back", count, reason) for reason, count in found.held_back.items()),
        *(("    answers", count, defect) for defect, count in found.held_back_defects.items()),
        ("rankings", found.rankings, f"{found.rankings_with_ties} with ties"),
        (
            "  tasks ranked",
            found.ranked_tasks,
            f"{found.complete_tasks} complete (at least {found.min_submitted} each)",
        ),
        *(("  flag", count, flag) for flag, count in found.flags.items()),
        ("pairs", found.pairs, "ready to export"),
        *(("  refused", count, reason) for reason, count in found.refused_pairs.items()),
    ]
    output.table(f"{found.name}  (last pull: {found.last_pull or 'never'})", ("what", "count", ""), rows)
    if found.annotators:
        output.table(
            "Annotators",
            ("who", "submitted", "with ties", "draft", "discarded", "withdrawn"),
            [(a.name, a.submitted, a.with_ties, a.draft, a.discarded, a.withdrawn) for a in found.annotators],
        )
    output.done(found.as_dict())
