"""``python -m argilla_embedded serve|worker|prepare``: the real argilla-server with the search engine ``sql`` plugged in.

Settings are Argilla's own environment variables. ``serve`` prepares the database (migrations, change log, owner) and
serves in one process, since importing the server takes seconds.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from pathlib import Path


def prepare(credentials: Path) -> None:
    """Migrate the database, install the search engine's change log and make the owner what ``credentials`` says."""
    import argilla_server
    from alembic import command  # type: ignore[import-not-found, unused-ignore]
    from alembic.config import Config  # type: ignore[import-not-found, unused-ignore]
    from argilla_server.settings import settings

    from argilla_embedded.database import database_file, derived_file, install
    from argilla_embedded.reader import Reader

    # Without Argilla's alembic.ini, whose logging section would silence the server that follows in this process.
    config = Config()
    config.set_main_option("script_location", str(Path(argilla_server.__file__).parent / "alembic"))
    command.upgrade(config, "head")
    source = database_file(settings.database_url)
    install(source)
    Reader(source, derived_file(source)).forget_applied_changes()
    ensure_owner(json.loads(credentials.read_text(encoding="utf-8")))


def ensure_owner(credentials: dict[str, str]) -> None:
    """The credentials file is the truth: a lost one means a new password and API key for the owner, not a locked door."""
    from argilla_server.contexts import accounts
    from argilla_server.database import SyncSessionLocal
    from argilla_server.models import User, UserRole

    with SyncSessionLocal() as session:
        owner = session.query(User).filter_by(username=credentials["username"]).one_or_none()
        if owner is None:
            owner = User(first_name=credentials["username"], username=credentials["username"])
            owner.password_hash = accounts.hash_password(credentials["password"])
            session.add(owner)
        elif not accounts.verify_password(credentials["password"], owner.password_hash):
            owner.password_hash = accounts.hash_password(credentials["password"])
        owner.api_key = credentials["api_key"]
        owner.role = UserRole.owner
        session.commit()
    SyncSessionLocal.remove()


def serve(host: str, port: int, credentials: Path) -> None:
    import uvicorn

    import argilla_embedded.engine  # noqa: F401  registers the search engine
    from argilla_embedded.policy import with_policy

    prepare(credentials)
    # Imported after the engine is registered: the application asks for it by name.
    from argilla_server import app

    spare_the_collector()
    # Argilla logs what matters itself; an access log would only grow.
    uvicorn.run(with_policy(app), host=host, port=port, access_log=False, timeout_graceful_shutdown=5)


def spare_the_collector() -> None:
    """Half of the time of a long list of records went into full collections over the million objects of imported code.

    What is loaded now stays for good, so it is taken out of them; rarer collections cost some megabytes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def work(name: str | None) -> None:
    import argilla_server.jobs  # noqa: F401
    from argilla_server.jobs.queues import DEFAULT_QUEUE, HIGH_QUEUE, REDIS_CONNECTION
    from rq import Worker  # type: ignore[import-not-found, unused-ignore]

    import argilla_embedded.engine  # noqa: F401  registers the search engine

    # Webhooks that failed are tried again later, which needs the scheduler.
    Worker([HIGH_QUEUE, DEFAULT_QUEUE], connection=REDIS_CONNECTION, name=name).work(with_scheduler=True)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="argilla_embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("prepare", "serve"):
        command = commands.add_parser(name)
        command.add_argument("--credentials", type=Path, required=True)
        if name == "serve":
            command.add_argument("--host", default="127.0.0.1")
            command.add_argument("--port", type=int, default=6900)
    commands.add_parser("worker").add_argument("--name")
    options = parser.parse_args(arguments)
    if options.command == "prepare":
        prepare(options.credentials)
    elif options.command == "serve":
        serve(options.host, options.port, options.credentials)
    else:
        work(options.name)


if __name__ == "__main__":
    main(sys.argv[1:])
