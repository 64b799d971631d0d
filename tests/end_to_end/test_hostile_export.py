"""Hostile answers through the whole path: what Argilla holds is harmless, what the export holds is the original."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from argilla_api import ApiUser
from project import Project
from running_argilla import ArgillaServer

pytestmark = [pytest.mark.slow, pytest.mark.server]

HOSTILE = {
    "script": "<script>window.ran = 1</script> </script> <!-- -->",
    "image": '<img src=x onerror="window.ran=1"> ![x](http://127.0.0.1:9/x.png)',
    "dollars": "$& $' $` $1 and $HOME | cut -d' ' -f1",
    "generics": "Map<String, List<String>> m = new HashMap<>();",
    "latex": r"\(x_1 < y\) and \[\frac{a}{b}\] and $$\int_0^1 x\,dx$$",
    "code": "```html\n<b>&amp;lt; & < ></b>\n```\n    indented\tcode  \n",
    "long": "0123456789 <b>çğışöü</b>\n" * 4000,
    "emoji": "👩‍🔬 🏳️‍🌈 \U0001f1f9\U0001f1f7 e\u0301 é",
    "rtl": "\u202eevil\u202c مرحبا עברית",
    "lines": "one\r\ntwo\rthree\u2028four\x0bfive\x1b[31m",
}


def test_the_export_has_the_original_characters(tmp_path: Path, argilla_server: ArgillaServer) -> None:
    environment = {"ARGILLA_API_URL": argilla_server.url, "ARGILLA_API_KEY": argilla_server.api_key}
    project = Project(tmp_path / "hostile", environment)
    project.write_config('[project]\nname = "hostile-export"\n[generate]\nanswers = 2\n[dedupe]\nencoder = "none"\n')
    rows = []
    for name, text in HOSTILE.items():
        prompt = [{"role": "user", "content": f"{name}: {text}"}]
        rows.append({"prompt": prompt, "completion": text, "origin": "hostile"})
        rows.append({"prompt": prompt, "completion": f"harmless answer to {name}", "origin": "tame"})
    project.ok("completions", "add", project.write_jsonl("answers.jsonl", rows))
    pushed = project.ok("sync", "push")
    assert (pushed["pushed"], pushed["not_sent"]) == (len(HOSTILE), [])
    member = project.ok("team", "add", "hostile-reader")["members"][0]
    with ApiUser(argilla_server.url, member["username"], member["password"]) as user:
        for record in user.records(pushed["dataset_id"]):
            tame = "a" if "harmless answer" in record["fields"]["answer_a"] else "b"
            user.answer(record["id"], "submitted", {tame: 2, "b" if tame == "a" else "a": 1})
    project.ok("sync", "pull")
    for form, file in (("trl-dpo", "train.jsonl"), ("jsonl", "train.jsonl")):
        out = project.folder / form
        project.ok("export", "--out", str(out), "--format", form, "--test-share", "0")
        found = [json.loads(line) for line in (out / file).read_text(encoding="utf-8").split("\n") if line]
        assert len(found) == len(HOSTILE)
        for row in found:
            chosen, prompt = row["chosen"], row["prompt"]
            if isinstance(chosen, list):
                chosen, prompt = chosen[0]["content"], prompt[0]["content"]
            if form == "trl-dpo":
                name = prompt.split(":", 1)[0]
                assert chosen == HOSTILE[name]
                assert prompt == f"{name}: {HOSTILE[name]}"
            else:
                assert chosen in HOSTILE.values()
