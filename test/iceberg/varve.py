"""A client of Varve's HTTP API on nothing but the standard library."""

import json
import re
import urllib.parse
import urllib.request
from datetime import datetime, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Varve:
    def __init__(self, url: str, token: str):
        self.url = url
        self.token = token

    def write(self, database: str, lines: list[str]) -> None:
        """Writes line protocol with times in nanoseconds; raises with the server's words when it is not taken."""
        query = urllib.parse.urlencode({"db": database, "precision": "nanosecond"})
        for at in range(0, len(lines), 20_000):
            self._call(f"/api/v3/write_lp?{query}", "\n".join(lines[at : at + 20_000]).encode())

    def seal(self, database: str) -> None:
        """Settles everything that is in flux."""
        answer = self._json("/api/v1/seal", {"db": database, "before": "2100-01-01T00:00:00Z"})
        if answer["waiting"]:
            raise RuntimeError(f"got groups that wait ({answer['waiting']}); want all of them sealed")

    def compact(self, database: str) -> dict:
        return self._json("/api/v1/compact", {"db": database})

    def settled_rows(self, database: str, table: str, where: str = "true") -> tuple[list[str], list[dict]]:
        """Columns and rows of the settled tier, numbers as the text of the answer, so that none is rounded."""
        name = table.replace('"', '""')
        answer = self._call(
            "/api/v3/query_sql",
            json.dumps(
                {
                    "db": database,
                    "q": f'SELECT * FROM "{name}" WHERE {where}',
                    "format": "json",
                    "tier": "settled",
                }
            ).encode(),
        )
        rows = json.loads(answer, parse_int=str, parse_float=str)
        return list(rows[0]) if rows else [], rows

    def _json(self, path: str, body: dict) -> dict:
        return json.loads(self._call(path, json.dumps(body).encode()))

    def _call(self, path: str, body: bytes) -> bytes:
        request = urllib.request.Request(
            self.url + path,
            data=body,
            method="POST",
            headers={"authorization": f"Bearer {self.token}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"POST {path}: got {error.code} {error.read().decode()}; want 2xx") from error


def nanoseconds(text: str) -> int:
    """An RFC 3339 time in UTC as nanoseconds since the epoch."""
    base, fraction = re.fullmatch(r"(.*?)(?:\.(\d+))?Z", text).groups()
    since = datetime.fromisoformat(base).replace(tzinfo=timezone.utc) - EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + int((fraction or "0").ljust(9, "0"))
