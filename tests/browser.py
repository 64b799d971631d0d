"""Argilla's web UI, driven as an annotator uses it: Debian's Chromium, keyboard and mouse.

    with chromium() as browser:
        annotator = sign_in(browser, url, "anna", "password")
        annotator.open_dataset(dataset_id)
        annotator.rank({"A": 1, "B": 2, "C": 1})
        annotator.submit()

Everything a page asks for outside its own server is refused and noted in ``annotator.guard``.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, Route, sync_playwright

Status = Literal["pending", "draft", "discarded", "submitted"]

SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
TIMEOUT_MS = 30_000
# Argilla's own style sheet asks for its fonts there; no record has a part in it.
FONTS = "fonts.googleapis.com"


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; skips the test where Chromium is not installed."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(SWITCHES))
        try:
            yield browser
        finally:
            browser.close()


@dataclass  # without slots: playwright keeps its notes on the object whose methods it calls
class Guard:
    """What a page did that nobody asked for."""

    host: str
    dialogs: list[str] = field(default_factory=list)
    console_errors: list[str] = field(default_factory=list)
    page_errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    fonts: int = 0

    def watch(self, page: Page) -> None:
        page.context.route("**/*", self._route)
        page.on("dialog", self._dialog)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.page_errors.append(str(error)))

    def assert_quiet(self) -> None:
        assert self.dialogs == []
        assert self.page_errors == []
        assert self.refused == []
        assert self.console_errors == []

    def _route(self, route: Route) -> None:
        parts = urlsplit(route.request.url)
        if parts.scheme in ("data", "blob", "about") or parts.netloc == self.host:
            route.continue_()
            return
        if parts.netloc == FONTS:
            self.fonts += 1
        else:
            self.refused.append(route.request.url)
        route.abort()

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and FONTS not in f"{message.location.get('url', '')} {message.text}":
            self.console_errors.append(message.text)


def sign_in(browser: Browser, url: str, username: str, password: str, *, policy: bool = True) -> Annotator:
    """``username`` in a window of their own; several can be signed in at once.

    Without ``policy`` the browser ignores the server's Content-Security-Policy, so that nothing but escaping protects it.
    """
    context = browser.new_context(viewport={"width": 1400, "height": 1000}, base_url=url, bypass_csp=not policy)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    guard = Guard(urlsplit(url).netloc)
    guard.watch(page)
    page.goto("/sign-in")
    page.locator("input[name=Username]").fill(username)
    page.locator("input[name=Password]").fill(password)
    page.locator("input[name=Password]").press("Enter")
    page.wait_for_url(lambda address: "/sign-in" not in address)
    return Annotator(page, guard)


@dataclass(slots=True)
class Annotator:
    """A signed-in person. Options are called by the titles seen on the page ("A"), ranks count from 1, 1 is best."""

    page: Page
    guard: Guard

    # Where they are.

    def open_dataset(self, dataset_id: str, status: Status = "pending") -> None:
        """The dataset's first record of that status, or the note that there is none."""
        self.page.goto(f"/dataset/{dataset_id}/annotation-mode?page=1&status={status}")
        self._wait_for_record()

    def open_dataset_called(self, name: str) -> None:
        """The same from the home page, by a click on the dataset's card."""
        self.page.goto("/")
        self.page.locator(".dataset-card").filter(has=self.page.get_by_text(name, exact=True)).first.click()
        self.page.wait_for_url("**/annotation-mode**")
        self._wait_for_record()

    def go_to(self, status: Status) -> None:
        """Choose ``status`` in the page's own filter; load the page again if that is where they are."""
        chosen = self.page.locator(".filter-status .selected-option")
        if chosen.inner_text().strip().lower() == status:
            self.page.reload()
            self._wait_for_record()
            return
        chosen.click()
        with self.page.expect_response(_is_search):
            self.page.locator(".filter-status label").filter(has_text=re.compile(rf"^\s*{status}\s*$", re.I)).click()
        self._wait_for_record()

    def next_record(self) -> None:
        before = self.record_id
        self.page.locator(".pagination__button[aria-label^=Next]").click()
        self._wait_until_left(before)

    @property
    def record_id(self) -> str | None:
        """The id of the record shown, which ends the ids of its fields' elements; None if there is no record."""
        content = self.page.locator("[id^=fields-content-]")
        return str(content.first.get_attribute("id"))[-36:] if content.count() else None

    # What they see.

    def fields(self) -> dict[str, str]:
        """The visible text of each text field by title; of a chat, all of its messages."""
        texts = {}
        for part in self.page.locator(".text_field_component").all():
            texts[part.locator(".text_field_component__title-content").inner_text()] = part.locator(
                ".content-area"
            ).inner_text()
        for chat in self.page.locator(".chat").all():
            texts[chat.locator(".chat__title").inner_text()] = chat.locator(".chat__wrapper").inner_text()
        return texts

    def field(self, title: str) -> Locator:
        titled = self.page.locator(".text_field_component__title-content", has_text=re.compile(f"^{re.escape(title)}$"))
        return self.page.locator(".text_field_component").filter(has=titled).locator(".content-area")

    def placed(self) -> dict[str, int]:
        """The options that have a rank, with that rank."""
        ranks = {}
        for rank, slot in enumerate(self.page.locator(".draggable__slot").all(), start=1):
            for title in slot.locator(".draggable__rank-card__title").all_inner_texts():
                ranks[title] = rank
        return ranks

    def options(self) -> list[str]:
        return [str(o.get_attribute("title")) for o in self.page.locator(".draggable [title][tabindex]").all()]

    def flagged(self) -> list[str]:
        """The titles of the chosen flags."""
        return [str(box.get_attribute("name")) for box in self.page.locator("input[type=checkbox]:checked").all()]

    def screenshot(self, path: Path) -> None:
        self.page.screenshot(path=path)

    # What they do.

    def rank(self, ranks: Mapping[str, int]) -> None:
        """Place options by keyboard: focus one, press the digit. Equal numbers are a tie."""
        for title, rank in ranks.items():
            # The page collects digits for 300 ms ("1", "2" is 12), then moves the focus on.
            self._wait_for_keys()
            option = self._option(title)
            option.focus()
            for digit in str(rank):
                self.page.keyboard.press(digit)
            self._wait_for_rank(title, rank)
        self._wait_for_keys()

    def drag(self, title: str, rank: int) -> None:
        """Place one option with the mouse."""
        source = self._option(title).bounding_box()
        target = self.page.locator(".draggable__slot-box").nth(rank - 1).bounding_box()
        assert source is not None
        assert target is not None
        mouse = self.page.mouse
        mouse.move(source["x"] + source["width"] / 2, source["y"] + source["height"] / 2)
        mouse.down()
        # Browsers begin a drag only after some movement.
        mouse.move(source["x"] + source["width"] / 2 + 8, source["y"] + source["height"] / 2 + 8, steps=4)
        mouse.move(target["x"] + target["width"] / 2, target["y"] + target["height"] / 2, steps=12)
        # Below what is there already: on top of an option that nearly covers its slot nothing is dropped.
        mouse.move(target["x"] + target["width"] - 12, target["y"] + target["height"] - 4, steps=12)
        mouse.up()
        self._wait_for_rank(title, rank)

    def flag(self, title: str) -> None:
        """Choose a flag, or take it back."""
        self.page.locator(f"label[title={title!r}]").click()

    def comment(self, text: str) -> None:
        box = self.page.locator("[aria-label='Question: comment'] [contenteditable]")
        box.click()
        box.fill(text)
        box.press("Escape")

    def submit(self) -> None:
        """Enter, with an option in focus; also the update of what was submitted before."""
        self._answer("Enter")

    def discard(self) -> None:
        """Backspace, with an option in focus."""
        self._answer("Backspace")

    def save_draft(self) -> None:
        """Ctrl+S, with nothing in focus: an option keeps every key but digits, Enter and Backspace to itself."""
        self._answer("Control+s")

    def _answer(self, keys: str) -> None:
        """Press ``keys`` and wait until the server has it and, in the pending queue, the next record is there."""
        self._wait_for_keys()
        if keys == "Control+s":
            self.page.locator(".text_field_component__title-content").first.click()
        else:
            self._option(self.options()[0]).focus()
        before = self.record_id
        with self.page.expect_response(_is_answer) as answer:
            self.page.keyboard.press(keys)
        assert answer.value.ok, f"{answer.value.status} {answer.value.text()}"
        if keys != "Control+s" and "status=pending" in self.page.url:
            self._wait_until_left(before)

    def _option(self, title: str) -> Locator:
        return self.page.locator(f".draggable [title={title!r}][tabindex]")

    def _wait_for_record(self) -> None:
        self.page.locator("[id^=fields-content-], .wrapper--empty").first.wait_for()

    def _wait_until_left(self, record_id: str | None) -> None:
        self.page.wait_for_function(
            "before => !document.querySelector(`[id^=fields-content-][id$='${before}']`)", arg=record_id
        )
        self._wait_for_record()

    def _wait_for_rank(self, title: str, rank: int) -> None:
        self.page.locator(".draggable__slot").nth(rank - 1).locator(f"[title={title!r}]").wait_for()

    def _wait_for_keys(self) -> None:
        """Until the page has used up the digits it collected."""
        self.page.wait_for_function(
            """() => {
                let vue = document.querySelector(".draggable")?.__vue__;
                while (vue && vue.keyCode === undefined) vue = vue.$parent;
                return !vue || vue.keyCode === "";
            }"""
        )


def _is_search(response: Any) -> bool:
    return "/records/search" in response.url


def _is_answer(response: Any) -> bool:
    return response.request.method in ("POST", "PUT", "DELETE") and bool(
        re.search(
            r"/(responses|responses/[^/]+|records/[^/]+/responses|me/responses/bulk)$", urlsplit(response.url).path
        )
    )
