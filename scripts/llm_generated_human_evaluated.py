"""Written by models, evaluated by people: run it, let people rank in Argilla, run it again for the pairs.

    python scripts/llm_generated_human_evaluated.py prompts.jsonl my-project [port]

Every step goes on where the last run stopped, so running it again costs nothing twice. The models, thresholds and export
settings are those of my-project/pref-argilla.toml. The first run writes it for the bundled local model and 3 answers a prompt.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from pref_argilla.config import CONFIG_FILE, load_config
from pref_argilla.encoders import load_encoder
from pref_argilla.errors import ExportError
from pref_argilla.labeling.connection import ArgillaAddress, Connection
from pref_argilla.labeling.team import add_members
from pref_argilla.local_model import answered_locally, local_model
from pref_argilla.server import EmbeddedServer
from pref_argilla.sources import read_prompts
from pref_argilla.steps.add import add_prompts
from pref_argilla.steps.answer import answer, budget_of, plan_answers
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
        prompts_near, answers_near = config.dedupe.prompt_threshold, config.dedupe.completion_threshold
        # Before asking, so that no duplicate prompt is answered; after it, so that no two answers to rank are the same.
        deduplicate(store, encoder, prompt_threshold=prompts_near, completion_threshold=answers_near)
        with local_model() as local:
            models = answered_locally(config.models, local)
            keys = {m.api_key_variable: os.environ.get(m.api_key_variable, "") for m in models}
            requests = plan_answers(store, config, models).requests
            report = answer(store, requests, keys, budget=budget_of(store, config))
            print(f"{report.saved} answers, {report.cost} dollars")
        if report.interrupted:
            sys.exit(130)
        deduplicate(store, encoder, prompt_threshold=prompts_near, completion_threshold=answers_near)
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
