"""Written by models, evaluated by people: run it, let people rank in Argilla, run it again for the pairs.

    python scripts/llm_generated_human_evaluated.py prompts.jsonl my-project [port]

Every step goes on where the last run stopped, so running it again costs nothing twice. The models, thresholds and export
settings are those of my-project/pref-argilla.toml, which the first run writes: the bundled local model, 3 answers a prompt.
"""

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pref_argilla.config import CONFIG_FILE, load_config
from pref_argilla.encoders import load_encoder
from pref_argilla.errors import ExportError
from pref_argilla.labeling.connection import ArgillaAddress, Connection
from pref_argilla.labeling.team import add_members
from pref_argilla.local_model import local_model
from pref_argilla.server import EmbeddedServer
from pref_argilla.sources import read_prompts
from pref_argilla.steps.add import add_prompts
from pref_argilla.steps.answer import answer, plan_answers
from pref_argilla.steps.deduplicate import deduplicate
from pref_argilla.steps.pairing import export_pairs
from pref_argilla.steps.project import init_project
from pref_argilla.steps.sync import pull, push, read_guidelines
from pref_argilla.store import Store


def main(prompts: str, folder: Path, port: int = 6900) -> None:
    if not (folder / CONFIG_FILE).exists():
        init_project(folder)
    config = load_config(folder)
    server = EmbeddedServer(folder / ".argilla", base_environ=os.environ)
    url = server.up(port=port, progress=print).url
    with Store(folder, writable=True) as store:
        print(f"{add_prompts(store, read_prompts(prompts)).new_prompts} new prompts")
        encoder = load_encoder(config.dedupe.encoder)
        deduplicate(store, encoder)  # no duplicate prompt is answered
        with local_model() as local:
            models = [replace(m, base_url=local.base_url, api_key_variable="") for m in config.models]
            print(f"{answer(store, plan_answers(store, config, models).requests, {}).saved} answers")
        deduplicate(store, encoder)  # no two answers to rank are the same
        with Connection(ArgillaAddress(url, server.credentials().api_key)) as connection:
            pushed = push(store, config, connection, read_guidelines(config))
            for member in add_members(connection, config.workspace, ["annotator-1"], "annotator"):
                print(f"annotator {member.username}, password {member.password or '(as before)'}")
            print(f"{pull(store, config, connection, datetime.now(UTC)).count('new')} new rankings")
        try:
            result, _ = export_pairs(store, config, folder / "pairs", "trl-dpo")
            print(f"{sum(result.rows.values())} pairs in {result.out}")
        except ExportError:
            print(f"No pair yet: let people rank at {pushed.page}, then run this again")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:4]))
