"""Readers: any table of prompts or completions, one module a format."""

from pref_argilla.sources.columns import ColumnUse, parse_columns
from pref_argilla.sources.reading import read_completions, read_prompts
from pref_argilla.sources.rows import BadReason, BadRow, CompletionRow, PromptRow, Where

__all__ = [
    "BadReason",
    "BadRow",
    "ColumnUse",
    "CompletionRow",
    "PromptRow",
    "Where",
    "parse_columns",
    "read_completions",
    "read_prompts",
]
