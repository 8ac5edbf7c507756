"""Kafka's default partitioner, so that our records lie where Debezium's lie."""

from __future__ import annotations

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Murmur2 as Kafka's Java client computes it (seed 0x9747b28c), unsigned 32 bits."""
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if length > whole:
        h ^= int.from_bytes(data[whole:], "little")
        h = h * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def place(key_body: bytes) -> int:
    """Non-negative hash of a key's bare Avro body; `place % partitions` is Kafka's choice."""
    return murmur2(key_body) & 0x7FFFFFFF
