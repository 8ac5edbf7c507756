"""Confluent's frame: magic byte 0, the schema's id in 4 bytes big-endian, the Avro body."""

from __future__ import annotations

from cdc.errors import SchemaError

FRAME_BYTES = 5


def frame(schema_id: int) -> bytes:
    """The 5 bytes in front of an Avro body."""
    return b"\x00" + schema_id.to_bytes(4, "big")


def schema_id_of(data: bytes) -> int:
    """The schema id of a framed value."""
    if len(data) < FRAME_BYTES or data[0] != 0:
        raise SchemaError(
            f"a value of {len(data)} bytes that starts with {data[:5].hex() or 'nothing'}"
            " has no Confluent frame",
            hint="its producer doesn't write Avro with a schema registry; leave the topic out",
        )
    return int.from_bytes(data[1:FRAME_BYTES], "big")
