"""``demo``: the main job from nothing to annotators, on the project's own sample prompts or yours."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Annotated

import typer

from pref_argilla.cli.options import JsonOption, QuietOption
from pref_argilla.cli.output import Output

# So many sample prompts keep the demo under six minutes on two slow cores with the bundled model.
PROMPTS_WITH_LOCAL_MODEL = 12
ANNOTATORS = ("annotator-1", "annotator-2")


def demo(
    prompts: Annotated[
        str | None,
        typer.Option("--prompts", metavar="FILE", help="Your prompts instead of the samples.", show_default=False),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="How many prompts; default: 12 with the bundled model, else all.", show_default=False),
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where Argilla listens; another one is taken if it is in use.")
    ] = 6900,
    project: Annotated[Path, typer.Option("--project", metavar="DIR", help="The demo's folder.")] = Path("demo"),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Start Argilla, have models answer, remove duplicates, push, add two annotators. Run again, it goes on."""
    from itertools import islice

    from pref_argilla.cli.answer_commands import ask, mark_duplicates, open_encoder
    from pref_argilla.cli.environment import argilla_address, embedded_server, variables
    from pref_argilla.cli.sync_commands import push_tasks
    from pref_argilla.config import CONFIG_FILE, load_config
    from pref_argilla.errors import ModelUnavailableError
    from pref_argilla.generate import Estimate
    from pref_argilla.labeling.connection import Connection
    from pref_argilla.labeling.team import add_members
    from pref_argilla.resources import setup_file
    from pref_argilla.sources import read_prompts
    from pref_argilla.steps.add import add_prompts
    from pref_argilla.steps.project import init_project
    from pref_argilla.store import Store

    output = Output(as_json, quiet)
    environment = variables(project)
    remote = bool(environment.get("OPENAI_API_KEY") or environment.get("OPENAI_BASE_URL"))
    if not (project / CONFIG_FILE).exists():
        init_project(project, config_text=_config_text(environment, remote))
        output.say(f"Made the project {project}")
    config = load_config(project)

    server = embedded_server(project)
    running = server.up(port=_port(port), progress=output.say)
    output.say(f"Argilla runs at {running.url}")

    wanted = count if count is not None else None if remote or prompts else PROMPTS_WITH_LOCAL_MODEL
    rows = read_prompts(
        prompts or setup_file("samples", "prompts.jsonl"),
        source=(prompts and Path(prompts).name) or "pref-argilla samples",
    )
    with Store(project, writable=True) as store:
        added = add_prompts(store, islice(rows, wanted))
        for sentence in added.examples:
            output.warn(sentence)
        output.line(f"{added.new_prompts} new prompts of {added.rows}")
        # Before asking, so that no duplicate prompt is paid for; after it, so that equal answers are replaced.
        encoder = open_encoder(config, output)
        mark_duplicates(store, config, output, encoder, show=5)
        for _ in range(config.generate.max_attempts):
            asked = ask(store, config, output)
            if isinstance(asked, Estimate):
                break
            if asked.interrupted:
                raise typer.Exit(130)
            if not asked.saved:
                raise ModelUnavailableError(
                    "No model answered.",
                    cause=", ".join(asked.failed),
                    next_step="Run 'pref-argilla generate' for the details.",
                )
            mark_duplicates(store, config, output, encoder, show=0)
        with Connection(argilla_address(config)) as connection:
            pushed = push_tasks(store, config, connection, output)
            members = add_members(connection, config.workspace, list(ANNOTATORS), "annotator")

    output.table(
        f"Sign in at {running.url}",
        ("user", "password"),
        [(m.username, m.password or "(shown at the first run)") for m in members],
    )
    where = f"--project {project}"
    output.line(f"Rank at       {pushed.page}")
    output.line(f"Then run      pref-argilla sync pull {where}")
    output.line(f"and           pref-argilla export --out pairs {where}")
    output.say(f"Stop Argilla with 'pref-argilla server down {where}'; everything in it stays.")
    output.done(
        {
            "project": str(project),
            "url": running.url,
            "page": pushed.page,
            "prompts": added.rows,
            "pushed": pushed.pushed,
            "unchanged": pushed.unchanged,
            "annotators": [{"username": m.username, "password": m.password} for m in members],
        }
    )


def _config_text(environment: dict[str, str], remote: bool) -> str:
    from pref_argilla.resources import setup_file

    text = setup_file("pref-argilla.toml").read_text(encoding="utf-8")
    if not remote:
        return text
    start, end = text.index("[[models]]"), text.index("# [[models]]")
    model = environment.get("OPENAI_MODEL", "gpt-4o-mini")
    variable = "OPENAI_API_KEY" if environment.get("OPENAI_API_KEY") else ""
    table = "\n".join(
        (
            "[[models]]",
            f"name = {json.dumps(model)}",
            f"model = {json.dumps(model)}",
            f"base_url = {json.dumps(environment.get('OPENAI_BASE_URL') or 'https://api.openai.com/v1')}",
            f'api_key_variable = "{variable}"',
            "temperature = 1.0",
            "max_tokens = 800",
            "",
            "",
        )
    )
    return text[:start] + table + text[end:]


def _port(wanted: int) -> int:
    """``wanted`` if it is free on this machine, else one that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return wanted
