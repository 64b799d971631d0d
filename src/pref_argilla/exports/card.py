"""``README.md`` of an export: the dataset card, with front matter that the Hub reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pref_argilla.exports.lengths import TRL_MAX_LENGTH, Lengths, Spread
from pref_argilla.exports.rows import Column

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_TAGS = ("preference-data", "dpo", "rlhf", "argilla", "pref-argilla")
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~<>&$])")


@dataclass(frozen=True, slots=True)
class AgreementFigure:
    """``value`` is None where it is undefined; ``note`` then says why. ``low`` and ``high`` bound its 95% interval."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class SourceFigure:
    """Where prompts are from. ``licence`` is "" where it is not known."""

    name: str
    prompts: int
    licence: str = ""


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """What the card says about the data; the caller counted it.

    ``prompts``, ``completions`` and ``rankings`` are those that the pairs were made from; ``annotators`` are people,
    ``judges`` language models. ``consensus`` and ``strategy`` say how rankings became pairs. ``evaluated_by`` is
    "people", "judges" or "both". ``origins`` counts completions by who wrote them, ``refused`` what was not exported by
    its reason. ``languages`` are codes such as "tr"; ``licence`` is the Hub's name of the whole set's licence, "" for
    unknown; ``limits`` are sentences.
    """

    title: str
    prompts: int
    completions: int
    annotators: int
    judges: int
    rankings: int
    strategy: str
    consensus: str
    evaluated_by: str
    agreement: tuple[AgreementFigure, ...] = ()
    sources: tuple[SourceFigure, ...] = ()
    origins: tuple[tuple[str, int], ...] = ()
    refused: tuple[tuple[str, int], ...] = ()
    languages: tuple[str, ...] = ()
    licence: str = ""
    limits: tuple[str, ...] = ()


def dataset_card(
    summary: ExportSummary,
    *,
    format_name: str,
    usage: str,
    columns: Sequence[Column],
    places: Mapping[str, str],
    rows: Mapping[str, int],
    lengths: Lengths,
) -> str:
    """The whole card. ``places`` is where each split's files are, ``usage`` the Python line that reads them."""
    parts = [
        _front_matter(summary, columns, places, sum(rows.values())),
        f"# {_plain(summary.title)}\n",
        _introduction(summary, format_name, rows),
        "## Reading it\n",
        f"```python\n{usage}\n```\n",
        "## How it was made\n",
        _making(summary),
        _agreement(summary),
        _sources(summary),
        _origins(summary),
        _refused(summary),
        _lengths(lengths, sum(rows.values())),
        _limits(summary),
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(summary: ExportSummary, columns: Sequence[Column], places: Mapping[str, str], rows: int) -> str:
    """YAML, every text quoted as JSON: a name cannot become anything but a name."""
    lines = ["---", f"pretty_name: {_quoted(summary.title)}", f"license: {_quoted(summary.licence or 'unknown')}"]
    if summary.languages:
        lines += ["language:", *(f"- {_quoted(language)}" for language in summary.languages)]
    lines += ["task_categories:", '- "text-generation"', "tags:", *(f"- {_quoted(tag)}" for tag in _TAGS)]
    lines += ["size_categories:", f"- {_quoted(_size(rows))}"]
    lines += ["configs:", '- config_name: "default"', "  data_files:"]
    for split, place in places.items():
        lines += [f"  - split: {_quoted(split)}", f"    path: {_quoted(place)}"]
    lines += ["dataset_info:", "  features:", *_features(columns), "---", ""]
    return "\n".join(lines)


def _features(columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        yield f"  - name: {_quoted(column.name)}"
        if column.kind == "messages":
            yield "    list:"
            for name in ("role", "content"):
                yield from (f"    - name: {_quoted(name)}", '      dtype: "string"')
        else:
            yield f"    dtype: {_quoted(column.kind)}"


def _introduction(summary: ExportSummary, format_name: str, rows: Mapping[str, int]) -> str:
    evaluated = {
        "people": "ranked by people",
        "judges": "ranked by language models",
        "both": "ranked by people and by language models",
    }.get(summary.evaluated_by, summary.evaluated_by)
    splits = ", ".join(f"{count:,} {split}" for split, count in rows.items())
    return (
        f"Preference pairs (chosen and rejected completions of the same prompt), {_plain(evaluated)}. Made with pref-argilla, "
        f"format `{format_name}`.\n\n"
        f"**{sum(rows.values()):,} pairs** ({splits}). All pairs of a prompt, and of its near-duplicates, are in one split.\n"
    )


def _making(summary: ExportSummary) -> str:
    rows = (
        ("prompts", f"{summary.prompts:,}"),
        ("completions", f"{summary.completions:,}"),
        ("annotators (people)", f"{summary.annotators:,}"),
        ("judges (language models)", f"{summary.judges:,}"),
        ("submitted rankings", f"{summary.rankings:,}"),
        ("consensus", _plain(summary.consensus)),
        ("pairs", _plain(summary.strategy)),
    )
    return _table(("", ""), rows) + "\nTies make no pair.\n"


def _agreement(summary: ExportSummary) -> str:
    if not summary.agreement:
        return ""
    rows = []
    for figure in summary.agreement:
        value = "undefined" if figure.value is None else f"{figure.value:.3f}"
        known = figure.low is not None and figure.high is not None
        rows.append(
            (_plain(figure.name), value, f"{figure.low:.3f} to {figure.high:.3f}" if known else "", _plain(figure.note))
        )
    return "## Agreement\n\n" + _table(("measure", "value", "95% interval", "note"), rows)


def _sources(summary: ExportSummary) -> str:
    if not summary.sources:
        return ""
    rows = [
        (_plain(source.name), f"{source.prompts:,}", _plain(source.licence) or "unknown") for source in summary.sources
    ]
    return "## Sources\n\n" + _table(("source", "prompts", "licence"), rows)


def _origins(summary: ExportSummary) -> str:
    if not summary.origins:
        return ""
    rows = [(_plain(name), f"{count:,}") for name, count in summary.origins]
    return "## Who wrote the completions\n\n" + _table(("origin", "completions"), rows)


def _refused(summary: ExportSummary) -> str:
    if not summary.refused:
        return ""
    rows = [(_plain(reason), f"{count:,}") for reason, count in summary.refused]
    return "## Not exported\n\n" + _table(("reason", "count"), rows)


def _lengths(lengths: Lengths, rows: int) -> str:
    spreads: tuple[tuple[str, Spread], ...] = (
        ("prompt", lengths.prompt),
        ("chosen", lengths.chosen),
        ("rejected", lengths.rejected),
        ("prompt and the longer completion", lengths.whole),
    )
    table = _table(
        ("characters", "median", "95th percentile", "largest"),
        [(name, f"{spread.median:,}", f"{spread.p95:,}", f"{spread.largest:,}") for name, spread in spreads],
    )
    over = ", ".join(f"{count:,} over {limit:,}" for limit, count in lengths.over)
    return (
        f"## Lengths\n\n{table}\n"
        f"Of {rows:,} rows, {over} characters. These are characters: how many tokens they make depends on the model's tokenizer, "
        f"which is not known here. English often has about four characters a token, Turkish fewer, other scripts and code fewer "
        f"still. TRL cuts rows longer than its `max_length` (default {TRL_MAX_LENGTH:,} tokens) without a message: count with "
        "your tokenizer, and set it.\n"
    )


def _limits(summary: ExportSummary) -> str:
    sentences = [
        "The completions are as their authors wrote them: nothing was filtered for being wrong, unsafe or private.",
        *summary.limits,
    ]
    if not summary.licence:
        sentences.append("The licence of the whole is not known: look at those of the sources and of the models first.")
    return "## Limits\n\n" + "".join(f"- {_plain(sentence)}\n" for sentence in sentences)


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "n>10M")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _quoted(text: str) -> str:
    """As YAML's double-quoted text: JSON's, but YAML takes characters beyond U+FFFF only as they are, and has more that
    must be escaped.
    """
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


def _plain(text: str) -> str:
    """Text of unknown origin as Markdown that shows just this text, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
