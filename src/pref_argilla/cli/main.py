"""The command ``pref-argilla``: the list of its commands, and the one place where an expected failure becomes a message."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

import typer
from typer.main import get_command

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
from pref_argilla.cli.output import Output, failure, take_any_text, usage_failure
from pref_argilla.errors import PrefArgillaError

INTERRUPTED = 130
# Typer's own, or click's in older versions: what a command line that cannot be parsed raises.
CommandLineError: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    name="pref-argilla",
    help="Preference data for language models: models answer, people rank in Argilla, trainers read the pairs. "
    "Exit codes: 0 done, 1 an expected failure, 2 wrong usage, 3 partly done and saved, 130 interrupted by Ctrl+C or SIGTERM.",
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
    take_any_text()
    signal.signal(signal.SIGTERM, _like_ctrl_c)
    words = sys.argv[1:]
    options = words[: words.index("--")] if "--" in words else words
    output = Output("--json" in options, "--quiet" in options)
    try:
        code = get_command(app).main(standalone_mode=False)
    except PrefArgillaError as exc:
        output.error(exc)
        sys.exit(exc.exit_code)
    except CommandLineError as exc:
        exc.show()
        output.done(usage_failure(exc.format_message(), _help_of(exc)))
        sys.exit(exc.exit_code)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe left (``| head``); nothing more can be said there.
        sys.stderr.close()
        sys.exit(1)
    except Exception as exc:
        output.done(failure(exc))
        raise
    if code == INTERRUPTED:
        output.say("Interrupted. What was saved is safe; run the command again to go on.")
        # Unless the command said more before it gave up.
        output.done(failure(KeyboardInterrupt()))
    sys.exit(code if isinstance(code, int) else 0)


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    """SIGTERM tidies up as Ctrl+C does, through whatever handles Ctrl+C now (asyncio's handler while answers come)."""
    del number, frame
    if callable(signal.getsignal(signal.SIGINT)):
        signal.raise_signal(signal.SIGINT)
    else:
        # Ctrl+C is ignored, as in a shell's background job.
        raise KeyboardInterrupt


def _help_of(exc: Any) -> str:
    path = exc.ctx.command_path if getattr(exc, "ctx", None) is not None else "pref-argilla"
    return f"Try '{path} --help'."


if __name__ == "__main__":
    run()
