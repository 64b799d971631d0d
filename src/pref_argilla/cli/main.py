"""The command ``pref-argilla``: the list of its commands, and the one place where an expected failure becomes a message."""

from __future__ import annotations

import sys

import typer

from pref_argilla.cli import (
    answer_commands,
    data_commands,
    demo_command,
    export_command,
    server_commands,
    status_command,
    sync_commands,
    team_commands,
)
from pref_argilla.cli.output import Output
from pref_argilla.errors import PrefArgillaError

app = typer.Typer(
    name="pref-argilla",
    help="Preference data for language models: models answer, people rank in Argilla, trainers read the pairs.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local values could show a key.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo_command.demo)
app.command("init")(data_commands.init)
app.add_typer(server_commands.app, name="server")
app.add_typer(team_commands.app, name="team")
app.add_typer(data_commands.prompts_app, name="prompts")
app.add_typer(data_commands.completions_app, name="completions")
app.command("generate")(answer_commands.generate)
app.command("dedupe")(answer_commands.dedupe)
app.add_typer(sync_commands.app, name="sync")
app.command("status")(status_command.status)
app.command("export")(export_command.export)


def run() -> None:
    output = Output(as_json="--json" in sys.argv)
    try:
        app()
    except PrefArgillaError as exc:
        output.error(exc)
        sys.exit(exc.exit_code)
    except BrokenPipeError:
        # The reader of a pipe left (``| head``); nothing more can be said there.
        sys.stderr.close()
        sys.exit(1)
    except SystemExit as exc:
        if exc.code == 130:
            output.say("Interrupted. What was saved is safe; run the command again to go on.")
        raise


if __name__ == "__main__":
    run()
