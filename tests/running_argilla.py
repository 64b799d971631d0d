"""What tests need to work with a running embedded Argilla: its address and keys, and a small HTTP client."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from typing import Any, Self

import httpx

from pref_argilla.server import EmbeddedServer


@dataclass(frozen=True, slots=True)
class ArgillaServer:
    """A running embedded server and its owner's credentials; each test makes a workspace and dataset of its own."""

    server: EmbeddedServer
    url: str
    username: str
    password: str
    api_key: str


@dataclass(frozen=True, slots=True)
class Annotator:
    id: str
    username: str
    password: str
    api_key: str


class Api:
    """Argilla's HTTP API as one user; every call that fails raises, unless told to expect another status."""

    def __init__(self, url: str, api_key: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v1", headers={"X-Argilla-Api-Key": api_key}, timeout=120)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def call(self, method: str, path: str, *, expect: int | None = None, json: Any = None, **options: Any) -> Any:
        response = self._client.request(method, path, json=json, **options)
        if expect is None:
            assert response.is_success, f"{method} {path}: {response.status_code} {response.text[:500]}"
        else:
            assert response.status_code == expect, f"{method} {path}: {response.status_code} {response.text[:500]}"
        return response.json() if response.content else None

    def new_workspace(self) -> str:
        made = self.call("POST", "/workspaces", json={"name": f"ws-{secrets.token_hex(4)}"})
        return str(made["id"])

    def new_annotator(self, workspace_id: str) -> Annotator:
        name, password = f"user-{secrets.token_hex(4)}", secrets.token_hex(8)
        user = {"first_name": name, "username": name, "role": "annotator", "password": password}
        made = self.call("POST", "/users", json=user)
        self.call("POST", f"/workspaces/{workspace_id}/users", json={"user_id": made["id"]})
        return Annotator(str(made["id"]), name, password, str(made["api_key"]))

    def new_dataset(
        self, workspace_id: str, *, fields: dict[str, Any], questions: dict[str, Any], min_submitted: int = 1
    ) -> str:
        """A published dataset; ``fields`` and ``questions`` map names to Argilla's settings."""
        dataset = {
            "name": f"ds-{secrets.token_hex(4)}",
            "workspace_id": workspace_id,
            "allow_extra_metadata": True,
            "distribution": {"strategy": "overlap", "min_submitted": min_submitted},
        }
        dataset_id = str(self.call("POST", "/datasets", json=dataset)["id"])
        for kind, entries in (("fields", fields), ("questions", questions)):
            for number, (name, settings) in enumerate(entries.items()):
                item = {"name": name, "title": name, "required": number == 0, "settings": settings}
                self.call("POST", f"/datasets/{dataset_id}/{kind}", json=item)
        self.call("PUT", f"/datasets/{dataset_id}/publish")
        return dataset_id

    def question_ids(self, dataset_id: str) -> dict[str, str]:
        items = self.call("GET", f"/datasets/{dataset_id}/questions")["items"]
        return {item["name"]: item["id"] for item in items}

    def add_records(self, dataset_id: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Upserts in requests of at most 250; returns the records as the server sees them, in order."""
        made = []
        for start in range(0, len(records), 250):
            chunk = {"items": records[start : start + 250]}
            made += self.call("PUT", f"/datasets/{dataset_id}/records/bulk", json=chunk)["items"]
        return made

    def search(
        self,
        dataset_id: str,
        body: dict[str, Any] | None = None,
        *,
        mine: bool = False,
        expect: int | None = None,
        **params: Any,
    ) -> Any:
        prefix = "/me" if mine else ""
        path = f"{prefix}/datasets/{dataset_id}/records/search"
        return self.call("POST", path, json=body or {}, params=params, expect=expect)

    def find(self, dataset_id: str, query: str, *, field: str | None = None) -> list[str]:
        """External ids of the first 1000 records that match a text query, best first."""
        text = {"q": query} | ({"field": field} if field else {})
        found = self.search(dataset_id, {"query": {"text": text}}, limit=1000)
        return [item["record"]["external_id"] for item in found["items"]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
