"""``export``: pairs to the files that trainers read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pref_argilla.cli.options import HERE, JsonOption, ProjectOption, QuietOption, finite
from pref_argilla.cli.output import Output


def export(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder to write; one of our earlier exports is replaced.")
    ],
    format_name: Annotated[str, typer.Option("--format", help="trl-dpo, jsonl, parquet or dataset.")] = "trl-dpo",
    strategy: Annotated[
        str | None, typer.Option(help="best_worst, best_rest, adjacent or all.", show_default=False)
    ] = None,
    min_margin: Annotated[
        float | None,
        typer.Option(min=0, max=1, callback=finite, show_default=False, help="(votes for - against) / annotators."),
    ] = None,
    min_annotators: Annotated[
        int | None, typer.Option(min=1, show_default=False, help="Rankings that a pair needs.")
    ] = None,
    min_agreement: Annotated[
        float | None,
        typer.Option(min=0, max=1, callback=finite, show_default=False, help="Share of annotators who agree."),
    ] = None,
    test_share: Annotated[
        float | None, typer.Option(min=0, max=1, callback=finite, show_default=False, help="Of the prompts.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, show_default=False, help="Of the split and of the rows' order.")
    ] = None,
    show_refused: Annotated[
        bool, typer.Option("--show-refused", help="List every refused pair with its reason.")
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the preference pairs with their provenance, split by prompt, and a dataset card."""
    from pref_argilla.config import load_config
    from pref_argilla.errors import UsageError
    from pref_argilla.exports import FORMATS
    from pref_argilla.pairs import Strategy
    from pref_argilla.steps.pairing import export_pairs
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    config = load_config(project)
    base = config.export
    if strategy is not None and strategy not in list(Strategy):
        raise UsageError(f"Strategy {strategy!r} is not known.", next_step=f"Use one of: {', '.join(Strategy)}.")
    if format_name not in FORMATS:
        raise UsageError(f"Format {format_name!r} is not known.", next_step=f"Use one of: {', '.join(FORMATS)}.")
    pairs = replace(
        base.pairs,
        strategy=base.pairs.strategy if strategy is None else Strategy(strategy),
        min_margin=base.pairs.min_margin if min_margin is None else min_margin,
        min_annotators=base.pairs.min_annotators if min_annotators is None else min_annotators,
        min_agreement=base.pairs.min_agreement if min_agreement is None else min_agreement,
    )
    config = replace(
        config,
        export=replace(
            base,
            pairs=pairs,
            test_share=base.test_share if test_share is None else test_share,
            seed=base.seed if seed is None else seed,
        ),
    )
    with Store(project, writable=False) as store, output.progress("Writing pairs") as advance:
        result, found = export_pairs(store, config, out, format_name, on_row=advance)
    counts = found.pairs.counts
    output.line(
        f"{sum(result.rows.values())} pairs written to {out} ({', '.join(f'{n} {split}' for split, n in result.rows.items())})"
    )
    for reason, count in sorted(counts.items()):
        output.line(f"  refused: {count} {reason.value}")
    if show_refused:
        output.table(
            "Refused",
            ("task", "chosen", "rejected", "why"),
            [(r.task_id, r.chosen_id, r.rejected_id, r.reason.value) for r in found.refused],
        )
    output.done(
        {
            "out": str(out),
            "format": result.format,
            "rows": dict(result.rows),
            "files": {file.name: file.sha256 for file in result.files},
            "refused": {reason.value: count for reason, count in counts.items()},
            "refused_pairs": [
                {"task": r.task_id, "chosen": r.chosen_id, "rejected": r.rejected_id, "reason": r.reason.value}
                for r in found.refused
            ]
            if show_refused
            else None,
        }
    )
