"""The web UI asks the search engine: the annotator's queue, the search box, "Find similar", the progress bar."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Response, expect, sync_playwright

from running_argilla import Api, ArgillaServer

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.browser]

WORDS = ["İstanbul", "Isparta", "Ankara", "İzmir"]


@pytest.fixture
def page() -> Iterator[Page]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page(viewport={"width": 1500, "height": 950})
        browser.close()


def test_an_annotator_searches(argilla_server: ArgillaServer, page: Page) -> None:
    with Api(argilla_server.url, argilla_server.api_key) as api:
        workspace = api.new_workspace()
        user = api.new_annotator(workspace)
        fields = {"text": {"type": "text", "use_markdown": True}}
        label = {"type": "label_selection", "options": [{"value": value, "text": value} for value in ("yes", "no")]}
        dataset = api.new_dataset(workspace, fields=fields, questions={"label": label})
        number = {"name": "number", "title": "number", "settings": {"type": "integer"}, "visible_for_annotators": True}
        api.call("POST", f"/datasets/{dataset}/metadata-properties", json=number)
        vector = {"name": "meaning", "title": "meaning", "dimensions": 2}
        api.call("POST", f"/datasets/{dataset}/vectors-settings", json=vector)
        records: list[dict[str, Any]] = [
            {
                "fields": {"text": f"{WORDS[place % 4]} şehri numara {place}"},
                "metadata": {"number": place},
                "vectors": {"meaning": [1.0, place / 10]},
            }
            for place in range(40)
        ]
        api.add_records(dataset, records)

    failed: list[str] = []

    def watch(response: Response) -> None:
        if response.status >= 400 and response.url.startswith(argilla_server.url):
            failed.append(f"{response.status} {response.url}")

    page.on("response", watch)
    page.goto(argilla_server.url)
    page.locator("input[type=text]").fill(user.username)
    page.locator("input[type=password]").fill(user.password)
    page.keyboard.press("Enter")
    page.locator("input[type=password]").wait_for(state="hidden")
    page.goto(f"{argilla_server.url}/dataset/{dataset}/annotation-mode")
    expect(page.get_by_text("1 of 40")).to_be_visible()

    page.locator(".search-area").first.click()
    page.get_by_placeholder("Introduce a query").fill("ISPARTA")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 of 10")).to_be_visible()
    expect(page.get_by_text("Isparta").first).to_be_visible()

    # A similarity search keeps the text query: of the 50 nearest, the other nine that match.
    page.get_by_text("Find similar").first.click()
    expect(page.get_by_text("1 of 9")).to_be_visible()
    assert failed == []
