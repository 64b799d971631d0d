r"""A model's text made safe and complete for Argilla's markdown fields.

Argilla 2.8 renders a TextField with ``use_markdown`` and a ChatField through marked 5 (``gfm``, ``breaks``),
highlight.js, KaTeX and DOMPurify with ``embed`` and ``object`` allowed. Written there as it is, a model's text loses
what looks like a tag, an escape, a comment, a reference definition or a table cell too many, and loads the images and
objects that it names.

So the text is parsed here, and what goes to Argilla are blocks that marked passes on unread:

- prose without any special character, as it is;
- one line of HTML a block, in which every ``&``, ``<`` and ``>`` of the model is a character reference and every tag
  and attribute is one of the few written below;
- top-level code as a fence longer than any run of backticks in it, so that it gets its colours;
- formulas (``$…$``, ``$$…$$``, ``\(…\)``, ``\[…\]``) for KaTeX, if they use the commands listed below only; the rest
  of such a block is character references throughout, because marked does read it.

Safety rests on that escaping, and not on two parsers agreeing. What is rendered is checked against the source block by
block: where a character would get lost (a table row with too many cells, ``## title ##``), the block is shown raw.
Emphasis is rendered in clear cases only; ``2*3*4``, ``__init__`` and ``$HOME`` stay as they are. Links and images are
shown as their source and lead nowhere. Control characters, bidirectional overrides, invisible tag characters and lone
surrogates are shown as ``␛`` or ``⟨U+202E⟩``.

A field's "copy" button copies what is stored, that is, this HTML; text selected with the mouse, and the copy button of
a code block, give the model's own characters. After a formula stands an invisible U+FEFF, which ends it for KaTeX.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cache
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

MAX_FORMATTED_CHARACTERS: Final = 200_000
"""Longer texts are shown as plain text: nobody ranks by their tables, and parsing them would hold the push up."""

MAX_COLOURED_CHARACTERS: Final = 20_000
"""Longer code gets no colours: highlight.js would block the annotator's page."""

MAX_FORMULAS: Final = 200
MAX_FORMULA_CHARACTERS: Final = 2_000
MAX_FORMULA_DEPTH: Final = 20


def to_markdown(text: str) -> str:
    """``text`` for an Argilla field that renders markdown: nothing in it runs or loads, and every character is visible.

    Takes any string, lone surrogates and NUL included; the result always encodes as UTF-8.
    """
    shown = _show_hidden(text)
    lines = shown.split("\n")
    if len(shown) > MAX_FORMATTED_CHARACTERS:
        return _raw(lines)
    writer = _Writer()
    chunks: list[str] = []
    written = 0
    for block in _top_level(_parser().parse(shown)):
        start, end = block[0].map or [written, written]
        chunks.append(_raw(lines[written:start]))
        chunks.append(writer.write(block, lines[start:end]))
        written = end
    chunks.append(_raw(lines[written:]))
    return "\n\n".join(chunk for chunk in chunks if chunk)


# Characters that are not seen, or that make others appear elsewhere.

_LINE_ENDS = re.compile("\r\n?|\u2028|\u2029")
_FLAG = "\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f"
_HIDDEN = re.compile(
    f"(?P<flag>{_FLAG})|"
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def _show_hidden(text: str) -> str:
    def shown(match: re.Match[str]) -> str:
        if match["flag"]:
            return match[0]
        code = ord(match[0])
        if code < 0x20:
            return chr(0x2400 + code)
        return "\u2421" if code == 0x7F else f"⟨U+{code:04X}⟩"

    return _HIDDEN.sub(shown, _LINE_ENDS.sub("\n", text))


# What is written to Argilla: pieces, and the two ways of escaping them.


class _Kind(Enum):
    TAG = auto()
    TEXT = auto()
    CODE = auto()
    FORMULA = auto()


@dataclass(frozen=True, slots=True)
class _Piece:
    kind: _Kind
    value: str


_SPECIAL = re.compile("[&<>]")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
# marked looks for an e-mail address from every character of a word on: quadratic in the word's length.
_LONG_WORD = re.compile("[0-9A-Za-z]{64}")
# Argilla strips trailing blanks with a pattern that is quadratic in the length of any run of blanks.
_LONG_BLANKS = re.compile(r"[^\S\n]{64}")
_AFTER_FORMULA = "\ufeff"


def _reference(match: re.Match[str]) -> str:
    return f"{match[0][:-1]}&#{ord(match[0][-1])};"


def _html(pieces: Sequence[_Piece], *, inline: bool) -> str:
    """``inline``: marked will read this, so no punctuation of the text may be left."""
    out: list[str] = []
    for piece in pieces:
        if piece.kind is _Kind.TAG:
            out.append(piece.value)
        elif piece.kind is _Kind.FORMULA:
            out.append(f"<span>{piece.value}{_AFTER_FORMULA}</span>")
        else:
            text = (_PUNCTUATION if inline else _SPECIAL).sub(_reference, piece.value)
            if inline:
                text = _LONG_WORD.sub(_reference, text)
            text = _LONG_BLANKS.sub(_reference, text)
            out.append(text.replace("\n", "<br>" if piece.kind is _Kind.TEXT else "&#10;"))
    return "".join(out)


_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]")
_BLANKS_THAT_COUNT = re.compile(r"\t|  |^ |\n ")


def _chunk(pieces: Sequence[_Piece]) -> str:
    """One block; its first piece is the tag that holds the rest."""
    seen = (piece for piece in pieces if piece.kind in (_Kind.TEXT, _Kind.FORMULA))
    text = "".join(piece.value if piece.kind is _Kind.TEXT else "x" for piece in seen)
    attributes = ""
    if _RIGHT_TO_LEFT.search(text):
        attributes += ' dir="auto"'
    if _BLANKS_THAT_COUNT.search(text):
        attributes += ' style="white-space:pre-wrap"'
    inline = any(piece.kind is _Kind.FORMULA for piece in pieces)
    html = _html(pieces, inline=inline)
    name_ends = re.match("<[a-z0-9]+", html)
    assert name_ends is not None
    html = name_ends[0] + attributes + html[name_ends.end() :]
    # A line that begins with an inline element is a paragraph to marked, and only there it looks for formulas.
    return f"<span></span>{html}" if inline else html


def _raw(lines: Sequence[str]) -> str:
    text = "\n".join(lines).strip("\n")
    if not text.strip():
        return ""
    return _chunk([_Piece(_Kind.TAG, "<p>"), _Piece(_Kind.TEXT, text), _Piece(_Kind.TAG, "</p>")])


# Blocks.

_PROSE_LINE = r"[^\W\d_](?:[^\W_]| (?! )|[.,;:!?'()%/“”‘’«»…–—-])*"
_PROSE = re.compile(rf"{_PROSE_LINE}(?:\n{_PROSE_LINE})*")
_NOT_PROSE = re.compile(r"//|www\.|\S{64}", re.IGNORECASE)
_MAX_NESTING = 20  # the parser gives up below it
_LANGUAGE = re.compile(r"[A-Za-z][A-Za-z0-9+#.-]{0,19}")
_RULE = re.compile(r"(?:-{3,}|\*{3,}|_{3,})\s*")
_BACKTICKS = re.compile("`+")
_BLANKS = re.compile(r"\s+")


@cache
def _parser() -> MarkdownIt:
    """Finds blocks. Reference definitions (they vanish), HTML and underlined headings (``---`` in e-mail) are off."""
    parser = MarkdownIt("zero", {"maxNesting": _MAX_NESTING})
    parser.enable(["table", "code", "fence", "blockquote", "hr", "list", "heading"])
    parser.core.ruler.enableOnly(["block"])
    parser.block.ruler.before(
        "table", "formula", _formula_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    return parser


def _formula_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    r"""``$$`` … ``$$`` or ``\[`` … ``\]`` over whole lines, where a line of ``- 1`` is no list."""
    if state.is_code_block(start):
        return False
    opening = state.src[state.bMarks[start] + state.tShift[start] :][:2]
    closing = {"$$": "$$", "\\[": "\\]"}.get(opening)
    if closing is None:
        return False
    parts: list[str] = []
    for line in range(start, min(end, start + 100)):
        if state.isEmpty(line) or state.sCount[line] < state.blkIndent:
            return False
        part = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
        parts.append(part[2:] if line == start else part)
        if parts[-1].endswith(closing):
            parts[-1] = parts[-1][:-2]
            content = "\n".join(parts)
            if closing in content or _formula(content) is None:
                return False
            if not silent:
                token = state.push("formula", "", 0)
                token.content, token.markup, token.info, token.map = content, opening, closing, [start, line + 1]
                state.line = line + 1
            return True
    return False


def _top_level(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    block: list[Token] = []
    depth = 0
    for token in tokens:
        block.append(token)
        depth += token.nesting
        if depth == 0:
            yield block
            block = []


@dataclass(slots=True)
class _Writer:
    """Writes the blocks of one text; counts its formulas, and the items of each list that is open."""

    formulas: int = 0
    numbers: list[int] = field(default_factory=list)

    def write(self, block: Sequence[Token], lines: Sequence[str]) -> str:
        first = block[0]
        source = "\n".join(lines)
        offset = (first.map or [0])[0]
        if first.type == "fence" and not _LONG_BLANKS.search(first.content):
            account = _Account()
            account.add(first, lines, offset)
            return _fence(first) if account.covers(lines) else _raw(lines)
        if first.type == "paragraph_open":
            prose = source.strip()
            if _PROSE.fullmatch(prose) and not _NOT_PROSE.search(prose) and not _RIGHT_TO_LEFT.search(prose):
                return prose
        if max(token.level for token in block) >= _MAX_NESTING - 2:
            return _raw(lines)
        pieces: list[_Piece] = []
        account = _Account()
        for number, token in enumerate(block):
            # A top-level paragraph keeps the blanks before its first line, as in a sum or a poem.
            content = source.rstrip() if first.type == "paragraph_open" and number == 1 else token.content
            written = self._pieces(token, content)
            pieces += written
            account.add(token, lines, offset)
        return _chunk(pieces) if account.covers(lines) else _raw(lines)

    def _pieces(self, token: Token, content: str) -> list[_Piece]:
        kind = token.type
        if kind == "inline":
            return self._inline(content)
        if kind == "formula":
            return [
                _tag("<div>"),
                *self._formula(f"{token.markup}{content}{token.info}", content, "$$"),
                _tag("</div>"),
            ]
        if kind in ("fence", "code_block"):
            code = _Piece(_Kind.CODE, content.removesuffix("\n"))
            return [*_label(token.info), _tag("<pre><code>"), code, _tag("</code></pre>")]
        if kind == "hr":
            return [_tag("<hr>")]
        if token.hidden:
            return []
        if kind == "list_item_open":
            self.numbers[-1] += 1
            return [_tag(_item(token, self.numbers[-1]))]
        if kind in ("ordered_list_open", "bullet_list_open"):
            start = int(token.attrs.get("start", 1))
            self.numbers.append(start - 1)
            return [_tag(f"<{token.tag}>" if start == 1 else f'<{token.tag} start="{start}">')]
        if kind in ("ordered_list_close", "bullet_list_close"):
            self.numbers.pop()
        if kind == "table_open":
            return [_tag('<table border="1" cellpadding="6" cellspacing="0">')]
        if token.nesting == -1:
            return [_tag(f"</{token.tag}>")]
        align = re.search("left|right|center", str(token.attrs.get("style", "")))
        return [_tag(f'<{token.tag} align="{align[0]}">' if align else f"<{token.tag}>")]

    def _inline(self, text: str) -> list[_Piece]:
        """Code and formulas are set aside behind U+0001 number U+0002, which no text has after ``_show_hidden``."""
        aside: list[list[_Piece]] = []

        def set_aside(pieces: list[_Piece]) -> str:
            aside.append(pieces)
            return f"\x01{len(aside) - 1}\x02"

        def formula(match: re.Match[str]) -> str:
            delimiter = "$$" if match[0].startswith(("$$", "\\[")) else "$"
            content = next(group for group in match.groups() if group is not None)
            return set_aside(self._formula(match[0], content, delimiter))

        out: list[str] = []
        for is_code, part in _code_spans(text):
            if is_code:
                ticks = len(part) - len(part.lstrip("`"))
                code = part[ticks:-ticks]
                if code.strip() and code[0] == code[-1] == " ":
                    code = code[1:-1]
                out.append(set_aside([_tag("<code>"), _Piece(_Kind.TEXT, code), _tag("</code>")]))
            else:
                out.append(_FORMULA.sub(formula, part))
        return list(_emphasis("".join(out), aside))

    def _formula(self, source: str, content: str, delimiter: str) -> list[_Piece]:
        latex = _formula(content)
        self.formulas += 1
        if latex is None or self.formulas > MAX_FORMULAS:
            return [_Piece(_Kind.TEXT, source)]
        return [_Piece(_Kind.FORMULA, f"{delimiter}{latex}{delimiter}")]


def _tag(value: str) -> _Piece:
    return _Piece(_Kind.TAG, value)


def _item(token: Token, number: int) -> str:
    """``number`` is what the page will count. Other markers ("1)", "01.", "+") are shown as they were written.

    Not by ``value``: Chromium's layout is quadratic in the number of items that have one.
    """
    if token.info == str(number) and token.markup == ".":
        return "<li>"
    if not token.info and token.markup in "-*":
        return "<li>"
    return f"<li style=\"list-style-type:'{token.info}{token.markup} '\">"


def _label(info: str) -> list[_Piece]:
    return [_tag("<p><code>"), _Piece(_Kind.TEXT, info.strip()), _tag("</code></p>")] if info.strip() else []


def _fence(token: Token) -> str:
    """``token`` as a fence of its own for marked, below a line with its language."""
    label = _label(token.info)
    fence = "`" * max(3, 1 + max((len(run) for run in _BACKTICKS.findall(token.content)), default=0))
    language = token.info.strip()
    if not _LANGUAGE.fullmatch(language) or len(token.content) > MAX_COLOURED_CHARACTERS:
        language = ""
    content = token.content.removesuffix("\n")
    code = f"{fence}{language}\n{content}\n{fence}"
    return f"{_chunk(label)}\n\n{code}" if label else code


# Inside a paragraph, a heading or a cell.

# Emphasis begins after a blank or opening punctuation and ends before a blank or closing punctuation; with underscores
# it also holds a blank, so that names in code stay what they are. Every quantifier is possessive: no input is slow.
_EMPHASIS = re.compile(
    r"""(?<![^\s(\[{"'“‘«—–…:;,/|>\x02-])(?:"""
    r"\*\*\*(?![\s*])(?P<strong_em>[^*\n]*+(?<![\s\\]))\*\*\*"
    r"|\*\*(?![\s*])(?P<strong>(?:[^*\n]|\*(?!\*))*+(?<![\s\\*]))\*\*"
    r"|\*(?![\s*])(?P<em>[^*\n]*+(?<![\s\\]))\*"
    r"|__(?![\s_])(?P<under_strong>(?:[^_\n]|_(?!_))*+(?<![\s\\_]))__"
    r"|_(?![\s_])(?P<under_em>[^_\n]*+(?<![\s\\]))_"
    r"|~~(?![\s~])(?P<del>[^~\n]*+(?<![\s\\]))~~"
    r""")(?![^\s)\]}"'”’».,;:!?…—–/|<\x01-])"""
)
_ASIDE = re.compile("\x01(\\d+)\x02")


def _emphasis(text: str, aside: Sequence[Sequence[_Piece]]) -> Iterator[_Piece]:
    at = 0
    for match in _EMPHASIS.finditer(text):
        name = str(match.lastgroup)
        inner = match[name]
        if name.startswith("under_") and not _BLANKS.search(inner):
            continue
        tags = name.removeprefix("under_").split("_")
        yield from _with_aside(text[at : match.start()], aside)
        yield _tag("".join(f"<{tag}>" for tag in tags))
        yield from _emphasis(inner, aside)
        yield _tag("".join(f"</{tag}>" for tag in reversed(tags)))
        at = match.end()
    yield from _with_aside(text[at:], aside)


def _with_aside(text: str, aside: Sequence[Sequence[_Piece]]) -> Iterator[_Piece]:
    for number, part in enumerate(_ASIDE.split(text)):
        if number % 2:
            yield from aside[int(part)]
        elif part:
            yield _Piece(_Kind.TEXT, part)


def _code_spans(text: str) -> Iterator[tuple[bool, str]]:
    """``text`` in parts; True marks one with its backticks, which ends at the next run of as many backticks."""
    runs = list(_BACKTICKS.finditer(text))
    next_equal: list[int | None] = [None] * len(runs)
    latest: dict[int, int] = {}
    for number in range(len(runs) - 1, -1, -1):
        length = len(runs[number][0])
        next_equal[number] = latest.get(length)
        latest[length] = number
    at = number = 0
    while number < len(runs):
        closing = next_equal[number]
        if closing is None:
            number += 1
            continue
        yield False, text[at : runs[number].start()]
        at = runs[closing].end()
        yield True, text[runs[number].start() : at]
        number = closing + 1
    yield False, text[at:]


# Formulas. Only commands that show all of their arguments, in their place and in the text's colour: no \phantom,
# \color, \href, \rule, \raisebox, \kern, \def, and no comments.

_FORMULA = re.compile(
    r"(?<![\\$\w])\$\$(?!\$)([^$]++)\$\$(?![\w$])"
    r"|(?<![\\$\w])\$(?![\s$])([^$\n]++)(?<!\s)\$(?![\w$])"
    r"|(?<!\\)\\\[((?:[^\\]|\\[^\[\]()])++)\\\]"
    r"|(?<!\\)\\\(((?:[^\\\n]|\\[^\[\]()\n])++)\\\)"
)
_COMMANDS = frozenset(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi varpi rho varrho
    sigma varsigma tau upsilon phi varphi chi psi omega
    Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
    frac dfrac tfrac binom sqrt sum prod int iint iiint oint
    lim limsup liminf sup inf max min arg det dim gcd deg exp log ln lg Pr ker mod bmod pmod
    sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan
    cdot times div pm mp ast star circ bullet oplus otimes
    le leq ge geq lt gt ne neq equiv approx sim simeq cong propto ll gg
    in notin ni subset subseteq supset supseteq cup cap setminus emptyset varnothing
    forall exists nexists neg lnot land lor wedge vee therefore because
    to gets rightarrow leftarrow Rightarrow Leftarrow leftrightarrow Leftrightarrow implies iff mapsto longrightarrow
    uparrow downarrow infty partial nabla hbar ell Re Im aleph angle triangle perp parallel mid nmid degree
    ldots cdots dots vdots ddots prime quad qquad left right big Big bigg Bigg bigl bigr Bigl Bigr
    langle rangle lfloor rfloor lceil rceil lvert rvert lVert rVert vert Vert lbrace rbrace lbrack rbrack
    hat bar vec dot ddot tilde widehat widetilde overline underline overrightarrow underbrace overbrace boxed
    text textbf textit mathrm mathbf mathit mathsf mathtt mathbb mathcal mathfrak operatorname bm boldsymbol
    displaystyle textstyle begin end hline square blacksquare
    """.split()  # noqa: SIM905
)
_ENVIRONMENTS = frozenset(
    "aligned align align* gathered cases array matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix".split()  # noqa: SIM905
)
_LATEX = re.compile(r"\\[A-Za-z]+|\\[,;:{}|%_&# \\\n]|[A-Za-z0-9 \n\t+*/=<>(){}|.,;:!?'^&~\[\]_-]")
_WORDS = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mathsf|mathtt|operatorname)\*?\s*\{[^{}]*\}"
    r"|\\(?:begin|end)\{(?P<environment>[^{}]*)\}(?:\{[lcr| ]*\})?"
    r"|\\[A-Za-z]+"
)
_PROSE_IN_FORMULA = re.compile(r"[a-z]{3}|[A-Z]{4}|[A-Za-z]{2}\s+[A-Za-z]{2}|\d\s+[A-Za-z]+\s+\d")
# A row's negative height would draw it over its neighbours; a backslash at the end would escape the delimiter.
_TRAPS_IN_FORMULA = re.compile(r"\\\\\s*\[|\\\s*\Z")


def _formula(content: str) -> str | None:
    r"""LaTeX on one line for KaTeX if ``content`` is a formula that shows all it holds, else None (``$5 and 6$``).

    The result has no ``<``, ``>``, ``$`` or backtick and nothing that is a link or an image to marked, so that it is
    harmless even where KaTeX does not take it.
    """
    if len(content) > MAX_FORMULA_CHARACTERS or not re.search("[0-9A-Za-z]", content):
        return None
    if _TRAPS_IN_FORMULA.search(content):
        return None
    depth = deepest = at = 0
    for token in _LATEX.finditer(content):
        part = token[0]
        if token.start() != at or (part[0] == "\\" and part[1:].isalpha() and part[1:] not in _COMMANDS):
            return None
        at = token.end()
        depth += (part in ("{", "\\left", "\\begin")) - (part in ("}", "\\right", "\\end"))
        deepest = max(deepest, depth)
        if depth < 0:
            return None
    if at != len(content) or depth or deepest > MAX_FORMULA_DEPTH:
        return None
    environments = {match["environment"] for match in _WORDS.finditer(content)} - {None}
    if not environments <= _ENVIRONMENTS or (not environments and re.search(r"(?<!\\)&|\\\\", content)):
        return None
    if _PROSE_IN_FORMULA.search(_WORDS.sub("|", content)):
        return None
    latex = content.replace("<", "\\lt ").replace(">", "\\gt ").replace("]", "] ").replace("!", "! ")
    return " ".join(latex.split())


# Is every character of the source accounted for?


@dataclass(slots=True)
class _Account:
    """What the tokens of a block stand for, to be compared with its source, blanks aside.

    ``skipped`` are characters that Markdown repeats or leaves out at will: ``>`` before the lines of a quotation, ``|``
    around the cells of a table.
    """

    parts: list[str | re.Pattern[str]] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    dashes: str = ""

    def add(self, token: Token, lines: Sequence[str], offset: int) -> None:
        """``lines`` are the block's, the first of them being line ``offset`` of the text."""
        kind = token.type
        if kind in ("inline", "code_block"):
            self.parts.append(token.content)
        elif kind == "fence":
            closing = re.compile(f"(?:{re.escape(token.markup[0])}{{{len(token.markup)},}})?")
            self.parts += [token.markup, token.info, token.content, closing]
        elif kind == "formula":
            self.parts += [token.markup, token.content, token.info]
        elif kind == "heading_open":
            self.parts.append(token.markup)
        elif kind == "list_item_open":
            self.parts += [token.info, token.markup]
        elif kind == "blockquote_open":
            self.skipped.add(">")
        elif kind == "table_open" and token.map:
            self.skipped.add("|")
            self.dashes = lines[token.map[0] + 1 - offset].lstrip(" \t>")
        elif kind == "thead_close":
            self.parts.append(self.dashes)
        elif kind == "hr" and token.map:
            rule = lines[token.map[0] - offset].lstrip(" \t>")
            # "-----  ---" below the heads of a table made by hand is no rule; nothing in a source equals U+0001.
            self.parts.append(rule if _RULE.fullmatch(rule) else "\x01")

    def covers(self, lines: Sequence[str]) -> bool:
        source = _BLANKS.sub("", "\n".join(lines))
        at = 0
        for part in self.parts:
            if isinstance(part, re.Pattern):
                ahead = self._skip(source, at)
                found = part.match(source, ahead)
                at = found.end() if found and found[0] else at
                continue
            for character in _BLANKS.sub("", part):
                if not source.startswith(character, at):
                    at = self._skip(source, at)
                if not source.startswith(character, at):
                    return False
                at += 1
        return self._skip(source, at) == len(source)

    def _skip(self, source: str, at: int) -> int:
        while at < len(source) and source[at] in self.skipped:
            at += 1
        return at
