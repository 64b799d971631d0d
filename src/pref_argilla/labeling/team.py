"""The people of a workspace: Argilla users, created with random passwords that are shown once and kept nowhere."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from pref_argilla.errors import LabelingDataError, UsageError
from pref_argilla.labeling.connection import Connection, translated
from pref_argilla.labeling.dataset import ensure_workspace, find_workspace

ROLES = ("annotator", "admin")


@dataclass(frozen=True, slots=True)
class Member:
    username: str
    role: str


@dataclass(frozen=True, slots=True)
class NewMember:
    """``password`` is None for a user who was there before: theirs stays as it is."""

    username: str
    role: str
    password: str | None = field(repr=False)


def add_members(connection: Connection, workspace_name: str, names: list[str], role: str) -> list[NewMember]:
    """Create the users that are missing and add all of them to the workspace."""
    import argilla as rg

    if role not in ROLES:
        raise UsageError(f"Role {role!r} is not known.", next_step=f"Use one of: {', '.join(ROLES)}.")
    for name in names:
        # Argilla's own rule, checked before the first user is made.
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", name):
            raise UsageError(
                f"User name {name!r} cannot be used.",
                cause="It may hold letters a-z, digits, '-', '_' and '.', and begins with a letter or digit.",
            )
    workspace = ensure_workspace(connection, workspace_name)
    result: list[NewMember] = []
    with translated(connection.url):
        inside = {user.username for user in workspace.users}
        known = {user.username: user for user in connection.sdk.users}
        for name in dict.fromkeys(names):
            user = known.get(name)
            password: str | None = None
            if user is None:
                password = secrets.token_urlsafe(12)
                user = rg.User(
                    username=name, first_name=name, role=role, password=password, client=connection.sdk
                ).create()
            if name not in inside:
                user.add_to_workspace(workspace)
            result.append(NewMember(name, user.role.value, password))
    return result


def list_members(connection: Connection, workspace_name: str) -> list[Member]:
    with translated(connection.url):
        workspace = find_workspace(connection, workspace_name)
        if workspace is None:
            return []
        return [Member(user.username, user.role.value) for user in workspace.users]


def remove_member(connection: Connection, workspace_name: str, name: str) -> None:
    """Take a user out of the workspace. The user stays: deleting one would delete every ranking they gave."""
    with translated(connection.url):
        workspace = find_workspace(connection, workspace_name)
        user = next((u for u in workspace.users if u.username == name), None) if workspace is not None else None
        if workspace is None or user is None:
            raise LabelingDataError(
                f"No user {name!r} in the workspace {workspace_name!r}.", next_step="Run 'pref-argilla team list'."
            )
        user.remove_from_workspace(workspace)
