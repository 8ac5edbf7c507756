# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""Kafka's default partitioner, so that our records lie where Debezium's lie."""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING


@cython.cfunc
@cython.exceptval(check=False)
def hash_of(
    data: cython.p_const_uchar, at: cython.Py_ssize_t, length: cython.Py_ssize_t
) -> cython.ulonglong:
    """Murmur2 of `length` bytes from `at` on, as Kafka's Java client has it; unsigned 32 bits."""
    # 64-bit arithmetic cut to 32 bits by hand: the same in C and in plain Python.
    m: cython.ulonglong = 0x5BD1E995
    low: cython.ulonglong = 0xFFFFFFFF
    h: cython.ulonglong = 0x9747B28C ^ length
    k: cython.ulonglong
    top: cython.ulonglong  # of 64 bits before it is shifted
    i: cython.Py_ssize_t = at
    end: cython.Py_ssize_t = at + length
    while end - i >= 4:
        k = data[i] | data[i + 1] << 8 | data[i + 2] << 16
        top = data[i + 3]
        k |= top << 24
        k = k * m & low
        k = (k ^ k >> 24) * m & low
        h = (h * m & low) ^ k
        i += 4
    if i < end:
        if end - i > 2:
            h ^= data[i + 2] << 16
        if end - i > 1:
            h ^= data[i + 1] << 8
        h = (h ^ data[i]) * m & low
    h = (h ^ h >> 13) * m & low
    return h ^ h >> 15


def murmur2(data: bytes) -> int:
    """Murmur2 of all of `data`."""
    number: int
    if cython.compiled:
        number = hash_of(cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(data)), 0, len(data))
    else:
        number = hash_of(data, 0, len(data))
    return number


def place(key_body: bytes) -> int:
    """Non-negative hash of a key's bare Avro body; `place % partitions` is Kafka's choice."""
    return murmur2(key_body) & 0x7FFFFFFF
