"""A schema registry in the embedded log's file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cdc.embedded_file import EmbeddedFile
from cdc.errors import RegistryError
from cdc.ports import Seam, untouched

KEPT_MAX = 10_000
"""Ids and schemas remembered; when full, all are forgotten."""


class EmbeddedRegistry:
    """Schemas by id and subject, with no rules of its own about what fits what."""

    def __init__(
        self, path: Path | str, *, timeout_seconds: float = 30.0, seam: Seam = untouched
    ) -> None:
        self._file = EmbeddedFile(Path(path), wait_seconds=timeout_seconds, seam=seam)
        self._ids: dict[tuple[str, str], int] = {}
        self._schemas: dict[int, Any] = {}

    def register(self, subject: str, schema: Mapping[str, Any] | Sequence[Any] | str) -> int:
        text = json.dumps(schema, ensure_ascii=False)
        known = self._ids.get((subject, text))
        if known is not None:
            return known
        # Equal JSON values are one schema; the order of their names doesn't matter.
        fingerprint = hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).digest()
        with self._file.transaction(f"registering a schema under {subject}") as connection:
            connection.execute(
                "insert into schemas (fingerprint, schema) values (?, ?) on conflict do nothing",
                (fingerprint, text),
            )
            row = connection.execute(
                "select id from schemas where fingerprint = ?", (fingerprint,)
            ).fetchone()
            schema_id: int = row[0]
            connection.execute(
                "insert into subjects select ?1, coalesce(max(version), 0) + 1, ?2 from subjects"
                " where subject = ?1 on conflict do nothing",
                (subject, schema_id),
            )
        _make_room(self._ids)
        self._ids[subject, text] = schema_id
        return schema_id

    def schema(self, schema_id: int) -> Any:
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        doing = f"asking for schema {schema_id}"
        rows = self._file.rows(doing, "select schema from schemas where id = ?", (schema_id,))
        if not rows:
            raise RegistryError(
                f"{doing}: {self._file.path} has none of this id",
                hint="the value was written with another registry; use that one",
            )
        _make_room(self._schemas)
        schema = self._schemas[schema_id] = json.loads(rows[0][0])
        return schema

    def subjects(self) -> Sequence[str]:
        rows = self._file.rows(
            "listing the subjects", "select distinct subject from subjects order by subject"
        )
        return [subject for (subject,) in rows]

    def versions(self, subject: str) -> Sequence[int]:
        rows = self._file.rows(
            f"listing the versions of {subject}",
            "select schema from subjects where subject = ? order by version",
            (subject,),
        )
        return [schema_id for (schema_id,) in rows]

    def close(self) -> None:
        self._file.close()


def _make_room(kept: dict[Any, Any]) -> None:
    if len(kept) >= KEPT_MAX:
        kept.clear()
