"""Text as the index sees it, and Elasticsearch's ``simple_query_string`` language read into a small tree.

Folding: NFC, lower case, and the four letters I, İ, i, ı are one. Elasticsearch's standard analyzer finds ``istanbul`` for
İstanbul but not ``ısparta`` for ISPARTA; a Turkish reader expects both, and no English word is lost by it. Other letters
keep their marks (``cay`` does not find ``çay``), as in Elasticsearch. Chinese and Japanese characters are words of their
own, as there; words split at apostrophes and dots, so that ``Ankara`` finds ``Ankara'da``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_FOLD = str.maketrans({"İ": "i", "I": "i", "ı": "i"})
_IDEOGRAPH = re.compile("([\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")


def fold(text: str) -> str:
    """``text`` in the form that is indexed; the full-text index then splits it at what is no letter, mark or digit."""
    # Lone surrogates, which JSON may carry, cannot be stored as UTF-8.
    clean = text.encode("utf-8", "replace").decode("utf-8")
    folded = unicodedata.normalize("NFC", clean).translate(_FOLD).lower()
    return _IDEOGRAPH.sub(r" \1 ", folded)


def words(text: str) -> tuple[str, ...]:
    """The words of ``text``, folded, split as the index splits."""
    return tuple("".join(char if _in_word(char) else " " for char in fold(text)).split())


def _in_word(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNM" or unicodedata.category(char) == "Co"


@dataclass(frozen=True)
class Words:
    """All of ``words`` in one field, in any order; with ``prefix`` the last one is only begun. One word as a rule."""

    words: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True)
class Phrase:
    words: tuple[str, ...]


@dataclass(frozen=True)
class All:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Any:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    part: Node


@dataclass(frozen=True)
class Everything:
    """The query ``*``."""


Node = Words | Phrase | All | Any | Not | Everything


def parse(query: str) -> Node | None:
    """The tree of ``query``; None if it holds no word at all, which matches nothing.

    As Lucene's SimpleQueryParser with AND as default: ``+`` and, ``|`` or, ``-`` not, ``"…"`` a phrase, ``word*`` a prefix,
    ``( )`` grouping, backslash escapes. Operators bind from left to right without precedence: ``a | b c`` is ``(a | b) c``.
    Nothing is malformed: a quote or parenthesis without its partner is ignored. ``~N`` (fuzziness, slop) is accepted and
    has no effect.
    """
    return _Parser(query).parse()


_SPACE = " \t\n\r"
_FUZZY = re.compile(r"~\d*$")
_SLOP = re.compile(r"~\d+")
# Deeper parentheses are ignored, like those without a partner.
_MAX_DEPTH = 40


class _Parser:
    def __init__(self, query: str) -> None:
        self._query = query
        self._closing = _matching_parentheses(query)

    def parse(self) -> Node | None:
        return self._parse(0, len(self._query), 0)

    def _parse(self, position: int, end: int, depth: int) -> Node | None:
        top: Node | None = None
        operator: type[All] | type[Any] | None = None
        negated = False
        while position < end:
            char = self._query[position]
            branch: Node | None = None
            if char == "(":
                close = self._closing.get(position)
                if close is not None and close < end and depth < _MAX_DEPTH:
                    branch = self._parse(position + 1, close, depth + 1)
                    position = close
            elif char == '"':
                close = self._unescaped('"', position + 1, end)
                if close is not None:
                    branch = _phrase(self._query[position + 1 : close])
                    slop = _SLOP.match(self._query, close + 1, end)
                    position = slop.end() - 1 if slop else close
            elif char == "+" or char == "|":
                if operator is None and top is not None:
                    operator = All if char == "+" else Any
                position += 1
                continue
            elif char == "-":
                negated = not negated
                position += 1
                continue
            elif char not in _SPACE and char != ")":
                start, position = position, self._end_of_word(position, end)
                branch = _word(self._query[start:position])
                position -= 1
            elif char in _SPACE:
                position += 1
                continue
            position += 1
            if branch is not None:
                part = Not(branch) if negated else branch
                top = part if top is None else _combine(operator or All, top, part)
                operator, negated = None, False
        return top

    def _unescaped(self, wanted: str, position: int, end: int) -> int | None:
        while position < end:
            if self._query[position] == "\\":
                position += 1
            elif self._query[position] == wanted:
                return position
            position += 1
        return None

    def _end_of_word(self, position: int, end: int) -> int:
        while position < end:
            char = self._query[position]
            if char == "\\":
                position += 1
            elif char in _SPACE or char in '"|+()':
                break
            position += 1
        return min(position, end)


def _matching_parentheses(query: str) -> dict[int, int]:
    pairs: dict[int, int] = {}
    opened: list[int] = []
    position = 0
    while position < len(query):
        if query[position] == "\\":
            position += 1
        elif query[position] == "(":
            opened.append(position)
        elif query[position] == ")" and opened:
            pairs[opened.pop()] = position
        position += 1
    return pairs


def _combine(operator: type[All] | type[Any], top: Node, part: Node) -> Node:
    if isinstance(top, operator):
        return operator((*top.parts, part))
    return operator((top, part))


def _phrase(raw: str) -> Node | None:
    found = words(_unescape(raw))
    return Phrase(found) if found else None


def _word(raw: str) -> Node | None:
    raw = _FUZZY.sub("", raw)
    prefix = raw.endswith("*") and not raw.endswith("\\*")
    if raw == "*":
        return Everything()
    found = words(_unescape(raw[:-1] if prefix else raw))
    return Words(found, prefix) if found else None


def _unescape(raw: str) -> str:
    return re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL)
