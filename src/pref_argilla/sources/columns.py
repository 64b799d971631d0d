"""Which column is the prompt, the completion, the origin: as asked for, or by a short list of usual names.

Never a guess between two: where more than one column could be meant, or none, the message lists what was found.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from pref_argilla.errors import InputError, UsageError
from pref_argilla.sources.conversation import is_conversation
from pref_argilla.sources.rows import BadRow, Table
from pref_argilla.sources.textfile import empty_file

KEYS = ("prompt", "completion", "origin", "id", "source")
PROMPT_NAMES = ("prompt", "instruction", "question", "messages", "conversations", "istem", "talimat", "soru")
COMPLETION_NAMES = ("completion", "response", "output", "answer", "yanıt", "cevap", "çıktı")
ORIGIN_NAMES = ("origin", "model")
# A column that belongs to an instruction and without which the prompt would be half a prompt.
INSTRUCTION_INPUTS = {"instruction": ("input",), "talimat": ("girdi",)}
_LOOK_AHEAD = 1000


class Missing(Enum):
    """What ``ColumnPath.of`` answers where a row does not have the column: None is a value."""

    MISSING = "missing"


MISSING = Missing.MISSING


@dataclass(frozen=True, slots=True)
class ColumnPath:
    """A column, or a place inside one: ``instances.0.output`` is ``row["instances"][0]["output"]``."""

    label: str
    steps: tuple[str, ...]

    def of(self, row: Mapping[str, object]) -> object:
        value: object = row
        for step in self.steps:
            if isinstance(value, Mapping):
                if step not in value:
                    return MISSING
                value = value[step]
            elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
                value = value[int(step)]
            else:
                return MISSING
        return value


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each part of a row comes from. No ``completion``: the prompt's last assistant turn is it.

    Several ``prompt`` columns are joined by a blank line.
    """

    prompt: tuple[ColumnPath, ...]
    completion: ColumnPath | None = None
    origin: ColumnPath | None = None
    id: ColumnPath | None = None
    source: ColumnPath | None = None

    @property
    def paths(self) -> tuple[ColumnPath, ...]:
        others = (self.completion, self.origin, self.id, self.source)
        return self.prompt + tuple(path for path in others if path is not None)

    @property
    def needed(self) -> frozenset[str]:
        """The top-level columns that the plan reads."""
        return frozenset(path.steps[0] for path in self.paths)


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """What was read from where, by the names that the file uses; "" where there is no such column."""

    prompt: tuple[str, ...]
    completion: str
    origin: str
    id: str
    source: str
    unused: tuple[str, ...]


def parse_columns(options: Sequence[str]) -> dict[str, str]:
    """``["prompt=İstem", "completion=yanıt"]`` as a mapping. Raises UsageError."""
    columns: dict[str, str] = {}
    for option in options:
        key, equals, name = option.partition("=")
        if not equals or not name or key not in KEYS:
            raise UsageError(
                f"--column {option!r} is not understood.",
                cause=f"It must be one of {', '.join(KEYS)}, then = and a column's name.",
                next_step="For example: --column prompt=question",
            )
        if key in columns:
            raise UsageError(
                f"--column {key}=… was given twice.",
                cause="A part has one column; several columns make one prompt with +.",
                next_step="For example: --column prompt=instruction+input",
            )
        columns[key] = name
    return columns


def plan_columns(
    table: Table, asked: Mapping[str, str], *, completions: bool, origin_given: bool
) -> tuple[Plan, ColumnUse]:
    """Find each part's column. Raises InputError when the file as a whole does not have it, or has no rows."""
    names = _column_names(table, asked)
    prompt = _prompt_paths(table, names, asked)
    completion = origin = None
    if completions:
        completion = _one_of(table, names, asked, "completion", COMPLETION_NAMES)
        origin = None if origin_given else _one_of(table, names, asked, "origin", ORIGIN_NAMES)
        if origin is None and not origin_given:
            raise InputError(
                f"{table.name} does not say which model wrote the completions.",
                cause=f"It has no column called {' or '.join(ORIGIN_NAMES)}; its columns are {_listed(names)}.",
                next_step="Add --origin NAME for all of them, or --column origin=NAME for a column that says it.",
            )
    plan = Plan(
        prompt,
        completion,
        origin,
        _path(table, names, asked["id"], "id") if "id" in asked else None,
        _path(table, names, asked["source"], "source") if "source" in asked else None,
    )
    _check_on_rows(table, names, plan, completions=completions)
    return plan, _use(names, plan, completions=completions)


def _column_names(table: Table, asked: Mapping[str, str]) -> tuple[str, ...]:
    if table.columns is not None:
        return table.columns
    wanted = {part for key, name in asked.items() for part in (_parts(name) if key == "prompt" else (name,))}
    names: dict[str, None] = {}
    first_bad: BadRow | None = None
    read = 0
    for row in table.rows(None):
        if isinstance(row, BadRow):
            first_bad = first_bad or row
            continue
        names.update(dict.fromkeys(row.value))
        read += 1
        if read >= _LOOK_AHEAD and all(_find(names, part) is not None for part in wanted):
            break
    if not read:
        if first_bad is None:
            raise empty_file(table.name)
        raise InputError(
            f"{table.name} has no row that can be read.",
            cause=f"The first one: {first_bad}.",
            next_step='Each row must be a JSON object such as {"prompt": "…"}.',
        )
    return tuple(names)


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in name.split("+"))


def _find(names: Iterable[str], name: str) -> tuple[str, ...] | None:
    """The steps to column ``name``: a column of that very name, else the same name in another Unicode form (files from
    macOS), else the beginning of a dotted path.
    """
    names = tuple(names)
    if name in names:
        return (name,)
    composed = unicodedata.normalize("NFC", name)
    same = [other for other in names if unicodedata.normalize("NFC", other) == composed]
    if len(same) == 1:
        return (same[0],)
    head, *rest = name.split(".")
    return (head, *rest) if rest and head in names and all(rest) else None


def _path(table: Table, names: tuple[str, ...], name: str, key: str) -> ColumnPath:
    steps = _find(names, name)
    if steps is None:
        raise _no_such_column(table, names, name, key)
    return ColumnPath(name, steps)


def _no_such_column(table: Table, names: tuple[str, ...], name: str, key: str) -> InputError:
    return InputError(
        f"{table.name} has no column {name!r}.",
        cause=f"Its columns are {_listed(names)}.",
        next_step=f"Name the right one: --column {key}=NAME",
    )


def _prompt_paths(table: Table, names: tuple[str, ...], asked: Mapping[str, str]) -> tuple[ColumnPath, ...]:
    if "prompt" in asked:
        name = asked["prompt"]
        parts = (name,) if name in names else _parts(name)
        return tuple(_path(table, names, part, "prompt") for part in parts)
    path = _one_of(table, names, asked, "prompt", PROMPT_NAMES)
    if path is None:
        raise InputError(
            f"{table.name} has no column that is known to hold prompts.",
            cause=f"Its columns are {_listed(names)}.",
            next_step="Say which one it is: --column prompt=NAME",
        )
    inputs = INSTRUCTION_INPUTS.get(_folded(path.label), ())
    return (path, *(ColumnPath(name, (name,)) for name in names if _folded(name) in inputs))


def _one_of(
    table: Table, names: tuple[str, ...], asked: Mapping[str, str], key: str, usual: tuple[str, ...]
) -> ColumnPath | None:
    if key in asked:
        return _path(table, names, asked[key], key)
    known = {_folded(name) for name in usual}
    found = [name for name in names if _folded(name) in known]
    if len(found) > 1:
        raise InputError(
            f"{table.name} has {len(found)} columns that could be the {key}: {', '.join(found)}.",
            cause=f"Its columns are {_listed(names)}.",
            next_step=f"Say which one is meant: --column {key}={found[0]}",
        )
    return ColumnPath(found[0], (found[0],)) if found else None


def _folded(name: str) -> str:
    """For comparing with the usual names: case, Unicode form and the dots of the Turkish i do not count."""
    return unicodedata.normalize("NFC", name).strip().replace("İ", "i").replace("ı", "i").casefold()


def _check_on_rows(table: Table, names: tuple[str, ...], plan: Plan, *, completions: bool) -> None:
    """Read until every dotted path was there once: one that no row has is a wrong column, not a million bad rows."""
    open_paths = [path for path in plan.paths if len(path.steps) > 1]
    turns_needed = completions and plan.completion is None
    rows = 0
    for row in table.rows(plan.needed):
        if isinstance(row, BadRow):
            continue
        rows += 1
        open_paths = [path for path in open_paths if path.of(row.value) is MISSING]
        if turns_needed and is_conversation(plan.prompt[0].of(row.value), text_cells=table.text_cells):
            turns_needed = False
        if not open_paths and (not turns_needed or rows >= _LOOK_AHEAD):
            break
    if not rows:
        raise empty_file(table.name)
    for path in open_paths:
        key = next(key for key, own in _by_key(plan) if path in own)
        raise _no_such_column(table, names, path.label, key)
    if turns_needed:
        raise InputError(
            f"{table.name} has no column that is known to hold completions.",
            cause=f"Its columns are {_listed(names)}.",
            next_step="Say which one it is: --column completion=NAME",
        )


def _by_key(plan: Plan) -> tuple[tuple[str, tuple[ColumnPath | None, ...]], ...]:
    return (
        ("prompt", plan.prompt),
        ("completion", (plan.completion,)),
        ("origin", (plan.origin,)),
        ("id", (plan.id,)),
        ("source", (plan.source,)),
    )


def _use(names: tuple[str, ...], plan: Plan, *, completions: bool) -> ColumnUse:
    def label(path: ColumnPath | None) -> str:
        return path.label if path else ""

    completion = label(plan.completion)
    if completions and plan.completion is None:
        completion = f"{plan.prompt[0].label} (last assistant turn)"
    unused = tuple(name for name in names if name not in plan.needed)
    prompt = tuple(path.label for path in plan.prompt)
    return ColumnUse(prompt, completion, label(plan.origin), label(plan.id), label(plan.source), unused)


def _listed(names: tuple[str, ...], limit: int = 30) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
