"""Argilla's HTTP API as an annotator's browser uses it: sign in, list records, give, edit and withdraw answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from running_argilla import Api

# A record, the answer's status, and the rank of each option.
Given = tuple[str, str, dict[str, int] | None]


class ApiUser(Api):
    """Signed in with a password, as the UI does it."""

    def __init__(self, url: str, username: str, password: str) -> None:
        super().__init__(url, "")
        answer = self._client.post("/token", data={"username": username, "password": password})
        answer.raise_for_status()
        del self._client.headers["X-Argilla-Api-Key"]
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def records(self, dataset_id: str) -> list[dict[str, Any]]:
        """All records of a dataset that this user may see."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call(
                "POST",
                f"/me/datasets/{dataset_id}/records/search",
                params={"limit": 500, "offset": len(found)},
                json={},
            )
            found += [item["record"] for item in page["items"]]
            if not page["items"] or len(found) >= page["total"]:
                return found

    def answer(
        self,
        record_id: str,
        status: str,
        ranks: Mapping[str, int] | None,
        *,
        flags: Sequence[str] = (),
        comment: str = "",
    ) -> str:
        """Give or replace this user's answer; returns its id. ``ranks`` by option, as the UI sends them."""
        values: dict[str, Any] = {}
        if ranks is not None:
            values["ranking"] = {"value": [{"value": option, "rank": rank} for option, rank in ranks.items()]}
        if flags:
            values["flags"] = {"value": list(flags)}
        if comment:
            values["comment"] = {"value": comment}
        body = {"items": [{"record_id": record_id, "status": status, "values": values}]}
        item = self.call("POST", "/me/responses/bulk", json=body)["items"][0]
        assert item["error"] is None, item
        return str(item["item"]["id"])

    def answer_all(self, given: Sequence[Given]) -> None:
        """Many answers at once, as the UI's bulk view sends them."""
        for start in range(0, len(given), 100):
            items = []
            for record_id, status, ranks in given[start : start + 100]:
                values = (
                    {} if ranks is None else {"ranking": {"value": [{"value": o, "rank": r} for o, r in ranks.items()]}}
                )
                items.append({"record_id": record_id, "status": status, "values": values})
            for item in self.call("POST", "/me/responses/bulk", json={"items": items})["items"]:
                assert item["error"] is None, item

    def withdraw(self, response_id: str) -> None:
        self.call("DELETE", f"/responses/{response_id}")
