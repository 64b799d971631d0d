r"""Texts that a model might write, and what ``to_markdown`` makes of them read as a browser would."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import strategies as st

ALLOWED = {
    "p": {"dir", "style"},
    "div": {"dir", "style"},
    "span": set(),
    "br": set(),
    "hr": set(),
    "strong": set(),
    "em": set(),
    "del": set(),
    "code": set(),
    "pre": set(),
    "blockquote": {"dir", "style"},
    "ul": {"dir", "style"},
    "ol": {"dir", "style", "start"},
    "li": {"style"},
    "table": {"dir", "style", "border", "cellpadding", "cellspacing"},
    "thead": set(),
    "tbody": set(),
    "tr": set(),
    "th": {"align"},
    "td": {"align"},
    **{f"h{level}": {"dir", "style"} for level in range(1, 7)},
}
STYLES = re.compile(r"white-space:pre-wrap|list-style-type:'(?:\d{1,9}[.)]|\+) '")
FORMULA = re.compile(r"(\${1,2})([^$]*)\1\ufeff")


class _Reader(HTMLParser):
    """The text a browser shows of one block, and every tag in it checked; formulas as their LaTeX."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        for name, value in attrs:
            assert name in ALLOWED[tag], (tag, name)
            assert name != "style" or STYLES.fullmatch(value or ""), value
        if tag in ("br", "hr", "p", "li", "td", "th", "pre", "div"):
            self.text.append("\n")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"comment {data!r}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"declaration {decl!r}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"processing instruction {data!r}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"declaration {data!r}")


def blocks(markdown: str) -> list[tuple[str, str]]:
    """Read as marked does, but for formulas: ("fence", code), ("html", one line), ("prose", lines)."""
    found: list[tuple[str, str]] = []
    lines = markdown.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        if fence := re.match("`{3,}", line):
            closing = next(n for n in range(at + 1, len(lines)) if lines[n].startswith(fence[0]))
            assert lines[closing] == fence[0]
            assert re.fullmatch(r"`+(?:[A-Za-z][A-Za-z0-9+#.-]*)?", line)
            found.append(("fence", "\n".join(lines[at + 1 : closing])))
            at = closing + 1
            assert lines[at : at + 1] in ([], [""])
        elif line.startswith("<"):
            found.append(("html", line))
            at += 1
            assert lines[at : at + 1] in ([], [""])
        elif line:
            assert not re.search(r"[<>&\\*_`$#|\[\]{}~@+=^]|//|  ", line), line
            assert re.match(r"[^\W\d_]", line), line
            found.append(("prose", line))
            at += 1
        else:
            at += 1
    return found


def shown(markdown: str) -> str:
    """The visible text, formulas as LaTeX; also proves that nothing but the listed tags is in ``markdown``."""
    texts = []
    for kind, content in blocks(markdown):
        if kind != "html":
            texts.append(content)
            continue
        if content.startswith("<span></span>"):
            outside = FORMULA.sub("", content)
            assert not re.search(r"[!-%'-,./:-<=>?@\[-`{-~-]", re.sub(r"<[^>]*>|&#\d+;", "", outside)), outside
        reader = _Reader()
        reader.feed(content)
        reader.close()
        texts.append("".join(reader.text))
    return FORMULA.sub(lambda formula: formula[2].replace("\\lt ", "<").replace("\\gt ", ">"), "\n".join(texts))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


SHOWN_AS_WRITTEN = [
    "Use List<String> and Map<K, V>.",
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!-- a comment --> <?php echo 1 ?> <![CDATA[x]]>",
    "<embed src=http://example.org/a> <object data=http://example.org/a></object>",
    "&lt; &amp; &#60; &copy;",
    "$& and $1 and $$ and $`",
    "[a link](javascript:alert(1)) and ![an image](http://example.org/a.png)",
    "[label]: http://example.org 'title'",
    "[^1]: a footnote",
    "<http://example.org> http://example.org www.example.org a@example.org",
    "2*3*4 = 24, a_1 b_2, 2**3 and 4**5",
    "def __init__(self, *args, **kwargs): _private = __name__",
    "int *a, *b; x = (*p)*(*q); char **argv",
    r"\*not emphasised\* \# \\ \_ C:\new\table",
    "$HOME and $PATH cost $5 and $10, from $5-$10 to $20/$30",
    "$5 and 6$, $USER$, ${x",
    r"\(see below\) and \[sic\]",
    r"$\color{white}x$ $\phantom{x}$ $\href{javascript:alert(1)}{x}$ $x%y$ $\\[-9em] x$",
    "~one~ and ~/path and a~~b~~c",
    "# Title #",
    "#hashtag and C#",
    "| a | b |\n|---|---|\n| 1 | 2 | 3 |",
    "| a | b |\n|---|---|\n| 1 \\| 2 | 3 |",
    "Name   Age\n-----  ---\nOne    3",
    "[ ] open [x] done",
    "a * b * c",
    "a\x0bb\x0cc".replace("\x0b", "␋").replace("\x0c", "␌"),
    "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ğüşiöç İstanbul ıI",
    "مرحبا بالعالم (1) hello",
    "Best regards\n===\nthe office",
    "1\\. not a list",
]


FORMATTED = [
    ("**bold** and *italic*, ***both***, ~~gone~~", "<p><strong>bold</strong> and <em>italic</em>, "
     "<strong><em>both</em></strong>, <del>gone</del></p>"),
    ("_so it is_ and __so it was__", "<p><em>so it is</em> and <strong>so it was</strong></p>"),
    ("**Ankara**'da *(ve* **`x<y`**)", "<p><strong>Ankara</strong>'da <em>(ve</em> "
     "<strong><code>x&#60;y</code></strong>)</p>"),
    ("``a ` b``", "<p><code>a ` b</code></p>"),
    ("## Title\n\ntext", "<h2>Title</h2>\n\ntext"),
    ("7. seven\n8. eight", '<ol start="7"><li>seven</li><li>eight</li></ol>'),
    ("3. c\n1. a", '<ol start="3"><li>c</li><li style="list-style-type:\'1. \'">a</li></ol>'),
    ("1) one", "<ol><li style=\"list-style-type:'1) '\">one</li></ol>"),
    ("01. one", "<ol><li style=\"list-style-type:'01. '\">one</li></ol>"),
    ("+ 30", "<ul><li style=\"list-style-type:'+ '\">30</li></ul>"),
    ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
    ("> quoted\n> twice", "<blockquote><p>quoted<br>twice</p></blockquote>"),
    ("above\n\n---\n\nbelow", "above\n\n<hr>\n\nbelow"),
    ("| a | b |\n|---|--:|\n| 1 |", '<table border="1" cellpadding="6" cellspacing="0"><thead><tr><th>a</th>'
     '<th align="right">b</th></tr></thead><tbody><tr><td>1</td><td align="right"></td></tr></tbody></table>'),
    ("```python\nif a < b:\n    c()\n```", "<p><code>python</code></p>\n\n```python\nif a < b:\n    c()\n```"),
    ("````\n```\ninside\n```\n````", "````\n```\ninside\n```\n````"),
    ("~~~\nx\n~~~", "```\nx\n```"),
    ("```\nnever closed", "```\nnever closed\n```"),
    ("```js onload=x\ny\n```", "<p><code>js onload=x</code></p>\n\n```\ny\n```"),
    ("- a\n  ```\n  <b>\n  c\n  ```", "<ul><li>a<pre><code>&#60;b&#62;&#10;c</code></pre></li></ul>"),
    ("    indented <b>", "<pre><code>indented &#60;b&#62;</code></pre>"),
    ("Roses are red,\nviolets blue.", "Roses are red,\nviolets blue."),
    ("one  two\n   three", '<p style="white-space:pre-wrap">one  two<br>   three</p>'),
    ("שלום <b>", '<p dir="auto">שלום &#60;b&#62;</p>'),
    ("$x^2 < 3$ ok", "<span></span><p><span>$x^2 \\lt 3$\ufeff</span> ok</p>"),
    (r"so \(a_1\) and", "<span></span><p>so <span>$a_1$\ufeff</span> and</p>"),
    ("$$\nx = 1\n- 2\n$$", "<span></span><div><span>$$x = 1 - 2$$\ufeff</span></div>"),
    ("\\[\n\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}\n\\]",
     "<span></span><div><span>$$\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}$$\ufeff</span></div>"),
    ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
    ("\u202eevil\x1b[0m\x00 \ud800 \U000e0041",
     "<p>⟨U+202E⟩evil␛[0m␀ ⟨U+D800⟩ ⟨U+E0041⟩</p>"),
    ("", ""),
    (" \n\n ", ""),
]  # fmt: skip


HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ufeff\U000e0000-\U000e007f]")
# Texts put together from all of these and from Markdown's characters.
MIXED = st.lists(
    st.one_of(
        st.sampled_from(
            [*SHOWN_AS_WRITTEN, *(text for text, _ in FORMATTED if "\ud800" not in text and "\r" not in text)]
        ),
        st.sampled_from(
            [
                "\n", "\n\n", "\n    ", "\n- ", "\n1. ", "\n> ", "\n```\n", "\n~~~", "\n# ", "\n---\n", "\n|a|b|\n|-|-|\n",
                "|", "*", "**", "_", "__", "~~", "`", "``", "```", "$", "$$", "\\(", "\\)", "\\[", "\\]", "\\", "<", ">", "&",
                "a", "b c", "1", " ", "  ", "\t", "ş", "م", "!", "[x](y)", ".", ")", "{", "}", "\\frac{1}{2}", "x^2", "://",
            ]
        ),
        st.text(max_size=6).filter(lambda text: not HIDDEN.search(text)),
    ),
    max_size=14,
).map("".join)  # fmt: skip
