# cython: language_level=3, boundscheck=False, wraparound=False
# cython: initializedcheck=False, cdivision=True
"""CRC32 of events: of small ones without a Python call, which would cost more than the sum."""

from __future__ import annotations

import zlib

import cython

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING

SMALL_BYTES_MAX = 512
"""Above it zlib is faster, its call included."""
POLYNOMIAL = 0xEDB88320


def _tables() -> bytes:
    """Eight tables of 256 numbers: what a byte adds that stands 0 to 7 bytes before the end."""
    first = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        first.append(value)
    tables = [first]
    for i in range(7):
        tables.append([first[value & 0xFF] ^ value >> 8 for value in tables[i]])
    return b"".join(value.to_bytes(4, "little") for table in tables for value in table)


if cython.compiled:
    _table_bytes: bytes = _tables()  # kept: the pointer leads into it
    _steps = cython.cast(cython.p_uint, PyBytes_AS_STRING(_table_bytes))


@cython.cfunc
@cython.exceptval(-1)
def crc32(events: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
    """The checksum of the bytes from `at` to `end`, as zlib has it."""
    if cython.compiled and end - at <= SMALL_BYTES_MAX:
        return _small(cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(events)), at, end)
    return zlib.crc32(memoryview(events)[at:end])


@cython.cfunc
@cython.exceptval(check=False)
def _small(
    data: cython.p_const_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t
) -> cython.longlong:
    """Eight bytes at a time; only the compiled form calls it."""
    crc: cython.uint = 0xFFFFFFFF
    low: cython.uint
    high: cython.uint
    while end - at >= 8:
        low = crc ^ (
            data[at]
            | data[at + 1] << 8
            | data[at + 2] << 16
            | cython.cast(cython.uint, data[at + 3]) << 24
        )
        high = (
            data[at + 4]
            | data[at + 5] << 8
            | data[at + 6] << 16
            | cython.cast(cython.uint, data[at + 7]) << 24
        )
        crc = (
            _steps[1792 + (low & 0xFF)]
            ^ _steps[1536 + (low >> 8 & 0xFF)]
            ^ _steps[1280 + (low >> 16 & 0xFF)]
            ^ _steps[1024 + (low >> 24)]
            ^ _steps[768 + (high & 0xFF)]
            ^ _steps[512 + (high >> 8 & 0xFF)]
            ^ _steps[256 + (high >> 16 & 0xFF)]
            ^ _steps[high >> 24]
        )
        at += 8
    while at < end:
        crc = _steps[(crc ^ data[at]) & 0xFF] ^ crc >> 8
        at += 1
    return crc ^ 0xFFFFFFFF
