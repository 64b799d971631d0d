"""What readers hand over: raw rows from a format, and the good and bad rows made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pref_argilla.schema import Completion, Prompt


class BadReason(StrEnum):
    """Why a row was left out; what ``status`` and the summary line count by."""

    NOT_JSON = "not JSON"
    NOT_AN_OBJECT = "not a JSON object"
    WRONG_FIELD_COUNT = "wrong number of fields"
    COLUMN_MISSING = "column missing"
    PROMPT_EMPTY = "prompt empty"
    PROMPT_NOT_TEXT = "prompt not text"
    WRONG_ROLES = "wrong roles"
    COMPLETION_EMPTY = "completion empty"
    COMPLETION_NOT_TEXT = "completion not text"
    ORIGIN_MISSING = "origin missing"
    BAD_CHARACTERS = "bad characters"
    BAD_METADATA = "id or source not text"


@dataclass(frozen=True, slots=True)
class Where:
    """A place in the input. ``number`` counts from 1; a row that spans several lines has the number of its first."""

    file: str
    number: int
    unit: str

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}"


@dataclass(frozen=True, slots=True)
class BadRow:
    where: Where
    reason: BadReason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class PromptRow:
    """``external_id`` is the column ``id``: for messages to a person, never the project's id."""

    prompt: Prompt
    where: Where
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class CompletionRow:
    """A completion with the prompt it answers: the prompt's content is what joins the two."""

    prompt: Prompt
    completion: Completion
    where: Where
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class RawRow:
    where: Where
    value: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """An input that can be read more than once, whatever its format.

    ``columns`` is None where a format has none of its own (JSON) and only reading tells. ``rows`` takes the top-level
    columns that are needed (None: all of them) and starts again from the first row at every call. In a format whose cells
    are always text (CSV), ``text_cells`` is True: there a list of messages comes as JSON text.
    """

    name: str
    columns: tuple[str, ...] | None
    rows: Callable[[frozenset[str] | None], Iterator[RawRow | BadRow]]
    text_cells: bool = False


def shown(value: object, limit: int = 60) -> str:
    """A value from a file, short and safe to print in a message."""
    text = ascii(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
