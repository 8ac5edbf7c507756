"""Opcodes of `rows.py`: how a value's bytes are read, and what is written.

The compiled form has the same numbers as C constants, from opcodes.pxd; a test holds them equal.
"""

from __future__ import annotations

SIGNED = 0  # size: little-endian integer
UNSIGNED = 1
COPY = 2  # size: Avro's own bytes already
FLOAT_AS_DOUBLE = 3
BOOLEAN = 4  # BIT(1)
BITS = 5  # size: big-endian in, little-endian out
DECIMAL = 6  # size; a: precision, b: scale; unscaled two's complement out
YEAR = 7
DATE = 8
TIME = 9  # size; a: fractional digits
DATETIME = 10  # size; a: fractional digits; b: units a second
TIMESTAMP = 11  # size; a: fractional digits
OLD_TIME = 12
OLD_DATETIME = 13  # b: units a second
OLD_TIMESTAMP = 14
UTF8 = 15  # size: of the length prefix, as in all that follow; the bytes are UTF-8 already
TEXT = 16  # table: decoder
BYTES = 17  # a: length that the server cut zeros off (BINARY), else 0
ENUM = 18  # size: of the index; table: labels as Avro strings
SET = 19  # size: of the bits; table: labels
JSON = 20
GEOMETRY = 21
POINT = 22
VECTOR = 23
COMPRESSED_BYTES = 24
COMPRESSED_TEXT = 25  # table: decoder

SLACK = 64
"""Bytes that an output buffer always has to spare; more than any value of fixed size takes."""
