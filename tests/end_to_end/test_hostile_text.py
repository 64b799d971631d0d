"""Hostile answers in the real Argilla page: nothing runs, nothing loads, everything is visible."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings

from browser import Annotator, chromium, sign_in
from markdown_cases import FORMATTED, FORMULA, MIXED, SHOWN_AS_WRITTEN, shown, squeezed
from pref_argilla.labeling import markdown
from pref_argilla.labeling.markdown import to_markdown

if TYPE_CHECKING:
    from running_argilla import ArgillaServer
pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.browser]

RAN = "window.ran = (window.ran || 0) + 1; alert(1)"
OUTSIDE = "http://192.0.2.1"  # reserved for documentation: no one answers there
HOSTILE = {
    "script": f"<script>{RAN}</script> and </script>",
    "handlers": f'<img src=x onerror="{RAN}"> <svg/onload="{RAN}"> <details open ontoggle="{RAN}"> <b onmouseover={RAN}>',
    "loads": f"![i]({OUTSIDE}/i.png) <img src='{OUTSIDE}/j.png'> <embed src={OUTSIDE}/e.swf>"
    f' <object data="{OUTSIDE}/o"></object> <iframe src="{OUTSIDE}/f"></iframe>'
    f" <link rel=stylesheet href={OUTSIDE}/s.css> <style>@import '{OUTSIDE}/s.css'</style>",
    "object in a table": f'| a | <object data="data:text/html,<script>{RAN}</script>"></object> |\n|---|---|\n| 1 | 2 |',
    "links": f"[click](javascript:{RAN}) <a href='javascript:{RAN}'>click</a> [b][c]\n\n[c]: javascript:alert(1) 'title'",
    "dollar ampersand": "a $& b $` c $' d $1 e $$ f",
    "generics": "List<String> names = new ArrayList<String>(); if (a<b && c>d) { }",
    "latex": r"By \(x_1 < y\) and $\sum_{i=1}^{n} i^2$ and $\href{javascript:alert(1)}{x}$ <b>we</b> have"
    + "\n\n$$\n\\frac{a}{b}\n$$",
    "code": f"```html\n<script>{RAN}</script>\n<img src={OUTSIDE}/k.png onerror=alert(1)>\n```\nand `<script>{RAN}</script>`",
    "open code": f"```\n<script>{RAN}</script>\n",
    "unbalanced": "</div></div></div></p></span></code></pre></table><plaintext><textarea><title><!--",
    "emoji": "👩‍👩‍👧‍👦 🇹🇷 🏴󠁧󠁢󠁥󠁮󠁧󠁿 é ğüşıöç İI",
    "right to left": "שלום <b>עולם</b> مرحبا (123) \u202etxt.exe",
    "attributes": f'"><script>{RAN}</script> \' onclick="{RAN}" x=\'',
    "vue": "{{ constructor.constructor('window.ran=1')() }} ${window.ran=1}",
    "styles": "<div style='position:fixed;inset:0;background:#fff'>nothing to see</div>",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """A dataset with one record a hostile text: in the prompt, in answer A, and beside it the answers B and C."""

    url: str
    dataset_id: str
    records: dict[str, str]
    username: str
    password: str


def _records(texts: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "external_id": name,
            "fields": {
                "prompt": [{"role": "user", "content": to_markdown(text)}],
                "answer_a": to_markdown(text),
                "answer_b": to_markdown(f"{text}\n\nThe end of B."),
                "answer_c": "The end of C.",
            },
        }
        for name, text in texts.items()
    ]


@pytest.fixture(scope="module")
def trial(argilla_server: ArgillaServer) -> Iterator[Trial]:
    name, password = f"hostile-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    with httpx.Client(
        base_url=f"{argilla_server.url}/api/v1/", headers={"X-Argilla-Api-Key": argilla_server.api_key}, timeout=60
    ) as client:

        def call(method: str, path: str, body: Any = None) -> Any:
            answer = client.request(method, path, json=body)
            assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
            return answer.json()

        workspace = call("POST", "workspaces", {"name": name})["id"]
        user = call("POST", "users", {"username": name, "first_name": name, "password": password, "role": "annotator"})[
            "id"
        ]
        call("POST", f"workspaces/{workspace}/users", {"user_id": user})
        dataset = call("POST", "datasets", {"name": name, "workspace_id": workspace})["id"]
        chat = {"type": "chat", "use_markdown": True}
        call("POST", f"datasets/{dataset}/fields", {"name": "prompt", "title": "Prompt", "settings": chat})
        for option in "abc":
            text = {"type": "text", "use_markdown": True}
            field = {"name": f"answer_{option}", "title": option.upper(), "required": True, "settings": text}
            call("POST", f"datasets/{dataset}/fields", field)
        options = [{"value": option, "text": option.upper()} for option in "abc"]
        question = {
            "name": "ranking",
            "title": "Rank the answers, best first",
            "required": True,
            "settings": {"type": "ranking", "options": options},
        }
        call("POST", f"datasets/{dataset}/questions", question)
        call("PUT", f"datasets/{dataset}/publish")
        items = call("POST", f"datasets/{dataset}/records/bulk", {"items": _records(HOSTILE)})["items"]
        yield Trial(
            argilla_server.url,
            dataset,
            {item["id"]: item["external_id"] for item in items},
            name,
            password,
        )


@pytest.fixture(scope="module")
def annotator(trial: Trial) -> Iterator[Annotator]:
    with chromium() as browser:
        # Without the server's policy: escaping must hold alone.
        person = sign_in(browser, trial.url, trial.username, trial.password, policy=False)
        person.open_dataset(trial.dataset_id)
        yield person


# Shows ``text`` in the page's own renderer of answers and tells what became of it.
SHOW = r"""
async text => {
    const element = document.querySelector(".text_field_component .markdown-render");
    const vue = element.__vue__;
    vue._props.markdown = "";
    await vue.$nextTick();
    const begun = performance.now();
    vue._props.markdown = text;
    await vue.$nextTick();
    element.offsetHeight;  // lays the page out
    const shown = {
        time: performance.now() - begun,
        elements: [...new Set([...element.querySelectorAll("*:not(.katex *)")].map(e => e.localName))].sort(),
        handlers: [...element.querySelectorAll("*")].some(e => [...e.attributes].some(a =>
            /^(on|href|src|srcset|data$|action|formaction|poster|background|xlink:href)/.test(a.name) && a.value !== "#")),
        formulas: element.querySelectorAll(".katex").length,
        wrong_formulas: [...element.querySelectorAll(".katex-error")].map(e => e.title),
        ran: window.ran || 0,
    };
    element.querySelectorAll(".katex-display, .katex, .katex-error").forEach(e => e.replaceWith("⟪formula⟫"));
    shown.text = element.innerText;
    return shown;
}
"""
HARMLESS = {
    *("p", "div", "span", "br", "hr", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li"),
    *("table", "thead", "tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6"),
    *("a", "svg", "path"),  # the page's own copy button on a block of code
}


def show(annotator: Annotator, text: str) -> dict[str, Any]:
    seen: dict[str, Any] = annotator.page.evaluate(SHOW, to_markdown(text))
    assert set(seen["elements"]) <= HARMLESS, seen["elements"]
    assert not seen["handlers"]
    assert seen["ran"] == 0
    return seen


def expected(text: str) -> str:
    """What our own reading of the markdown says that the page shows."""
    return squeezed(shown(FORMULA.sub("⟪formula⟫", to_markdown(text)).replace("<span></span>", "")))


def test_hostile_records_as_the_annotator_gets_them(annotator: Annotator, trial: Trial) -> None:
    annotator.open_dataset(trial.dataset_id)
    seen = set()
    while annotator.record_id is not None:
        name = trial.records[annotator.record_id]
        seen.add(name)
        texts = annotator.fields()
        assert set(texts) == {"Prompt", "A", "B", "C"}
        for title in ("Prompt", "A", "B"):
            if "$\ufeff" not in to_markdown(HOSTILE[name]):
                assert expected(HOSTILE[name]) in squeezed(texts[title]).replace("\ufeff", ""), (name, title)
        assert texts["B"].strip().endswith("The end of B.")
        assert texts["C"].strip() == "The end of C."
        live = "img, iframe, embed, object, link, style, script, a:not([href='#'])"
        assert annotator.page.locator(f".markdown-render :is({live})").count() == 0, name
        assert annotator.page.evaluate("window.ran") is None, name
        annotator.guard.assert_quiet()
        annotator.rank({"A": 1, "B": 2, "C": 3})
        annotator.submit()
    assert seen == set(HOSTILE)


@pytest.fixture
def renderer(annotator: Annotator, trial: Trial) -> Annotator:
    open_any_record(annotator, trial)
    return annotator


def open_any_record(annotator: Annotator, trial: Trial) -> None:
    """Submitted or pending: whether the test that submits them ran before does not matter."""
    annotator.open_dataset(trial.dataset_id, "submitted")
    if annotator.record_id is None:
        annotator.open_dataset(trial.dataset_id)


def test_the_page_shows_every_case(renderer: Annotator) -> None:
    for text in [*HOSTILE.values(), *SHOWN_AS_WRITTEN, *(text for text, _ in FORMATTED)]:
        seen = show(renderer, text)
        assert squeezed(seen["text"]).replace("\ufeff", "") == expected(text), text
        assert seen["wrong_formulas"] == []
    renderer.guard.assert_quiet()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=MIXED)
@example(text="```\n" + "</code></pre><script>alert(1)</script>" + "\n```")
@example(text="$a$" * 30)
def test_the_page_shows_any_text(renderer: Annotator, text: str) -> None:
    seen = show(renderer, text)
    assert squeezed(seen["text"]).replace("\ufeff", "") == expected(text)
    renderer.guard.assert_quiet()


def test_formulas_are_rendered_by_commands_that_katex_knows(renderer: Annotator) -> None:
    one = "hat bar vec dot ddot tilde widehat widetilde overline underline overrightarrow underbrace overbrace boxed"
    fonts = (
        "text textbf textit mathrm mathbf mathit mathsf mathtt mathbb mathcal mathfrak operatorname bm boldsymbol sqrt"
    )
    templates = {
        **{command: rf"\{command}{{A}}" for command in (one + " " + fonts).split()},
        **{command: rf"\{command}{{A}}{{B}}" for command in ("frac", "dfrac", "tfrac", "binom")},
        **{command: rf"\{command} ( x" for command in "big Big bigg Bigg bigl bigr Bigl Bigr".split()},  # noqa: SIM905
        **{command: rf"a \{command} {{b}}" for command in ("pmod", "mod")},
        **dict.fromkeys(("left", "right"), r"\left( \frac{1}{2} \right)"),
        **dict.fromkeys(("begin", "end", "hline"), r"\begin{array}{cc} a & b \\ \hline c & d \end{array}"),
    }
    environments = {
        e: rf"\begin{{{e}}} a & b \\ c & d \end{{{e}}}" for e in markdown._ENVIRONMENTS - {"array", "gathered"}
    }
    formulas = {c: templates.get(c, rf"x \{c} y") for c in sorted(markdown._COMMANDS)} | environments
    for name, formula in formulas.items():
        seen = show(renderer, f"$$\n{formula}\n$$")
        assert seen["wrong_formulas"] == [], name
        assert seen["formulas"] == 1, name
    inline = show(renderer, r"If $a_1 < b$, then \(\sqrt[3]{x!} \leq \text{a b}\).")
    assert (inline["formulas"], squeezed(inline["text"]).replace("\ufeff", "")) == (2, "If⟪formula⟫,then⟪formula⟫.")
    renderer.guard.assert_quiet()


@pytest.mark.parametrize(
    "unit",
    [
        "<b>&amp; ",
        "**a** ",
        "*a",
        "$x$ ",
        "`a` ",
        "- a\n",
        "| a ",
        "a",
        " ",
        "# a\n\n",
        "> a\n",
        "![a](b) ",
        "a@b.",
        "1. *a\n\n",
    ],
)
def test_100_kilobytes_are_shown_at_once(renderer: Annotator, unit: str) -> None:
    text = unit * (100_000 // len(unit)) + "\n\nthe end"
    seen = show(renderer, text)
    assert seen["text"].rstrip().endswith("the end")
    assert seen["time"] < 10_000
    assert (
        len(squeezed(seen["text"])) >= len(re.findall(r"\w", unit)) * (100_000 // len(unit))
        or "$" in unit
        or "1." in unit
    )
    renderer.guard.assert_quiet()


def wait_until(annotator: Annotator, happened: Callable[[], bool]) -> None:
    """What the browser reports comes while the page is waited for."""
    for _ in range(100):
        if happened():
            return
        annotator.page.wait_for_timeout(50)
    raise AssertionError(f"it did not happen in 5 s: {annotator.guard}")


def test_without_to_markdown_the_page_would_load_and_lose(renderer: Annotator) -> None:
    """What the tests above look for does happen to a text that is sent as it is."""
    seen: dict[str, Any] = renderer.page.evaluate(SHOW, HOSTILE["loads"] + "\n\n" + HOSTILE["generics"])
    assert {"img", "embed", "object"} <= set(seen["elements"])
    assert seen["handlers"]
    assert "List<String>" not in seen["text"]
    wait_until(renderer, lambda: any(url.startswith(OUTSIDE) for url in renderer.guard.refused))
    renderer.guard.refused.clear()
    renderer.guard.console_errors.clear()


def test_the_servers_policy_is_a_second_wall(renderer: Annotator, trial: Trial) -> None:
    """Even a text that is sent as it is loads nothing and runs nothing: the server's Content-Security-Policy forbids it."""
    browser = renderer.page.context.browser
    assert browser is not None
    person = sign_in(browser, trial.url, trial.username, trial.password)
    open_any_record(person, trial)
    seen: dict[str, Any] = person.page.evaluate(SHOW, HOSTILE["loads"])
    assert {"img", "embed", "object"} <= set(seen["elements"])
    wait_until(person, lambda: any("Content Security Policy" in error for error in person.guard.console_errors))
    assert person.guard.refused == []
    assert person.page.evaluate("window.ran") is None
