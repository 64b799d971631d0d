"""``prompts add`` and ``completions add``: rows of any table as prompts and completions, good and bad one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pref_argilla.errors import UsageError
from pref_argilla.schema import Completion, Message, Prompt
from pref_argilla.sources.columns import MISSING, ColumnPath, ColumnUse, Plan, plan_columns
from pref_argilla.sources.conversation import (
    RowError,
    check_characters,
    completion_text,
    joined,
    prompt_turns,
    split_completion,
    turns,
)
from pref_argilla.sources.opening import open_table
from pref_argilla.sources.rows import BadReason, BadRow, CompletionRow, PromptRow, RawRow, Table, shown

_Row = TypeVar("_Row", PromptRow, CompletionRow)
_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})


def read_prompts(
    path_or_name: str | Path,
    columns: Mapping[str, str] = _NO_COLUMNS,
    *,
    source: str = "",
    config: str | None = None,
    split: str | None = None,
    on_columns: Callable[[ColumnUse], None] | None = None,
) -> Iterator[PromptRow | BadRow]:
    """The prompts of a file, folder or Hub dataset, in its order, one row in memory at a time.

    ``columns`` maps ``prompt``, ``id`` and ``source`` to columns (``columns.plan_columns`` has the defaults); ``source``
    is what ``Prompt.source`` says where no column does, the file's name if empty. ``on_columns`` hears what is read from
    where.

    Raises InputError from the call itself when the input as a whole cannot be used. After that, rows that cannot be used
    come as ``BadRow`` between the others.
    """
    table = open_table(path_or_name, config, split)
    plan, use = plan_columns(table, columns, completions=False, origin_given=False)
    if on_columns:
        on_columns(use)
    default_source = source or Path(path_or_name).name

    def prompt_row(raw: RawRow) -> PromptRow:
        messages = prompt_turns(_turns(raw, plan, table))
        prompt = Prompt.of(messages, _source(raw, plan) or default_source)
        return PromptRow(prompt, raw.where, _external_id(raw, plan))

    return _each(table, plan, prompt_row)


def read_completions(
    path_or_name: str | Path,
    columns: Mapping[str, str] = _NO_COLUMNS,
    origin: str | None = None,
    *,
    source: str = "",
    config: str | None = None,
    split: str | None = None,
    on_columns: Callable[[ColumnUse], None] | None = None,
) -> Iterator[CompletionRow | BadRow]:
    """The completions of a file with the prompts they answer; else as ``read_prompts``.

    A completion belongs to the prompt of the same content, so the caller adds ``row.prompt`` too: where it is there
    already, nothing changes. Without a column for the completion, the last assistant turn of the messages is it.
    ``origin`` names who wrote all of them; else the column ``origin`` (or ``model``) says so row by row.
    """
    if origin is not None and "origin" in columns:
        raise UsageError(
            "Both an origin and a column for it were given.",
            cause=f"Either all completions are from {origin!r}, or the column {columns['origin']!r} says whose they are.",
            next_step="Leave one of the two out.",
        )
    if origin is not None:
        _check_origin(origin)
    table = open_table(path_or_name, config, split)
    plan, use = plan_columns(table, columns, completions=True, origin_given=origin is not None)
    if on_columns:
        on_columns(use)
    default_source = source or Path(path_or_name).name

    def completion_row(raw: RawRow) -> CompletionRow:
        messages = _turns(raw, plan, table)
        if plan.completion is None:
            messages, text = split_completion(messages)
        else:
            value = _value(plan.completion, raw)
            messages, text = prompt_turns(messages), completion_text(value)
        row_source = _source(raw, plan) or default_source
        prompt = Prompt.of(messages, row_source)
        completion = Completion.of(prompt.id, origin or _origin(raw, plan), text, source=row_source)
        return CompletionRow(prompt, completion, raw.where, _external_id(raw, plan))

    return _each(table, plan, completion_row)


def _each(table: Table, plan: Plan, make: Callable[[RawRow], _Row]) -> Iterator[_Row | BadRow]:
    for raw in table.rows(plan.needed):
        if isinstance(raw, BadRow):
            yield raw
            continue
        try:
            row = make(raw)
        except RowError as problem:
            yield BadRow(raw.where, problem.reason, problem.detail)
        else:
            yield row


def _value(path: ColumnPath, raw: RawRow) -> object:
    value = path.of(raw.value)
    if value is MISSING:
        raise RowError(BadReason.COLUMN_MISSING, path.label)
    return value


def _turns(raw: RawRow, plan: Plan, table: Table) -> tuple[Message, ...]:
    first, *others = plan.prompt
    value = _value(first, raw)
    if others:
        # Only the first column must be there in every row: many instructions have no input.
        rest = [path.of(raw.value) for path in others]
        value = joined([value, *(None if part is MISSING else part for part in rest)])
        return turns(value, text_cells=False)
    return turns(value, text_cells=table.text_cells)


def _origin(raw: RawRow, plan: Plan) -> str:
    assert plan.origin is not None, "plan_columns refuses completions without an origin"
    value = _value(plan.origin, raw)
    if not isinstance(value, str) or not value.strip():
        raise RowError(BadReason.ORIGIN_MISSING, "" if value in (None, "") else shown(value))
    check_characters(value, "origin")
    return value.strip()


def _source(raw: RawRow, plan: Plan) -> str:
    return _metadata(plan.source, raw)


def _external_id(raw: RawRow, plan: Plan) -> str:
    return _metadata(plan.id, raw)


def _metadata(path: ColumnPath | None, raw: RawRow) -> str:
    """Text, or a whole number as text; "" where there is none."""
    value = path.of(raw.value) if path else None
    if value is None or value is MISSING:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise RowError(BadReason.BAD_METADATA, f"{path.label if path else ''}: {shown(value)}")
    check_characters(str(value), "id or source")
    return str(value).strip()


def _check_origin(origin: str) -> None:
    if not origin.strip():
        raise UsageError(
            "The origin is empty.",
            cause="It names who wrote the completions.",
            next_step="Give a model's name, or human.",
        )
