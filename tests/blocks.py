"""Blocks of records as the decoder makes them, from records."""

from __future__ import annotations

from collections.abc import Sequence

from cdc.model import ID_HEADER, REVISION_HEADER, Record
from cdc.records import ENTRY, RecordBlock


def block_of(records: Sequence[Record]) -> RecordBlock:
    """The block that holds these; revision and id, where there are both, come first of headers."""
    data, entries = bytearray(), bytearray()
    topics: list[str] = []
    further = []

    def put(part: bytes | None) -> tuple[int, int]:
        at = len(data)
        data.extend(part or b"")
        return at, -1 if part is None else len(part)

    for record in records:
        if record.topic not in topics:
            topics.append(record.topic)
        value = put(record.value)
        key = put(record.key)
        headers = list(record.headers)
        revision_at, id_size = -1, 0
        if [name for name, _ in headers[:2]] == [REVISION_HEADER, ID_HEADER]:
            revision_at, _ = put(headers[0][1])
            _, id_size = put(headers[1][1])
            headers = headers[2:]
        index = -1
        if headers:
            index = len(further)
            further.append(headers)
        topic = topics.index(record.topic)
        entries += ENTRY.pack(topic, record.place, *key, *value, revision_at, id_size, index)
    spare = bytes(100)  # buffers are longer than what is used
    return RecordBlock(data + spare, entries + spare, len(records), topics, further)
