"""Collation ids of TABLE_MAP and how text in their character sets becomes UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from cdc.capture.charset_tables import DECODERS, TABLES, table_decoder
from cdc.errors import DecodeError

BINARY = 63
_UTF8_NAMES = frozenset({"ascii", "utf8mb3", "utf8mb4"})

_IDS: dict[str, str] = {
    "big5": "1 84",
    "latin2": "2 9 21 27 77",
    "dec8": "3 69",
    "cp850": "4 80",
    "latin1": "5 8 15 31 47-49 94",
    "hp8": "6 72",
    "koi8r": "7 74",
    "swe7": "10 82",
    "ascii": "11 65",
    "ujis": "12 91",
    "sjis": "13 88",
    "cp1251": "14 23 50-52",
    "hebrew": "16 71",
    "tis620": "18 89",
    "euckr": "19 85",
    "latin7": "20 41 42 79",
    "koi8u": "22 75",
    "gb2312": "24 86",
    "greek": "25 70",
    "cp1250": "26 34 44 66 99",
    "gbk": "28 87",
    "cp1257": "29 58 59",
    "latin5": "30 78",
    "armscii8": "32 64",
    "utf8mb3": "33 76 83 192-215 223 576-607 2048-2303",
    "ucs2": "35 90 128-151 159 640-671 2560-2815",
    "cp866": "36 68",
    "keybcs2": "37 73",
    "macce": "38 43",
    "macroman": "39 53",
    "cp852": "40 81",
    "utf8mb4": "45 46 224-247 255-323 608-639 2304-2559",
    "utf16": "54 55 101-124 672-703 2816-3071",
    "utf16le": "56 62",
    "cp1256": "57 67",
    "utf32": "60 61 160-183 736-767 3072-3327",
    "binary": "63",
    "geostd8": "92 93",
    "cp932": "95 96",
    "eucjpms": "97 98",
    "gb18030": "248-250",
}
"""Character set → its collations' ids. MariaDB's NO PAD collations lie 1024 above."""

_CODECS: dict[str, str] = {
    "latin2": "iso8859_2",
    "cp850": "cp850",
    "hp8": "hp_roman8",
    "koi8r": "koi8_r",
    "ascii": "utf_8",
    "cp1251": "cp1251",
    "tis620": "tis_620",
    "euckr": "cp949",
    "latin7": "iso8859_13",
    "gb2312": "gb2312",
    "cp1250": "cp1250",
    "gbk": "gbk",
    "cp1257": "cp1257",
    "latin5": "iso8859_9",
    "utf8mb3": "utf_8",
    "ucs2": "utf_16_be",
    "macce": "mac_latin2",
    "macroman": "mac_roman",
    "cp852": "cp852",
    "utf8mb4": "utf_8",
    "utf16": "utf_16_be",
    "utf16le": "utf_16_le",
    "cp1256": "cp1256",
    "utf32": "utf_32_be",
    "cp932": "cp932",
}


def _spread(ids: str) -> list[int]:
    spread: list[int] = []
    for part in ids.split():
        first, _, last = part.partition("-")
        spread.extend(range(int(first), int(last or first) + 1))
    return spread


_NAME_BY_ID = {number: name for name, ids in _IDS.items() for number in _spread(ids)}


def charset_of(collation: int) -> str:
    """The character set's name of a collation id."""
    name = _NAME_BY_ID.get(collation) or _NAME_BY_ID.get(collation - 1024)
    if name is None:
        raise DecodeError(
            f"collation id {collation} is not known",
            hint="the server is newer than this version of cdc knows; convert the column to"
            " utf8mb4, or leave the table out of source.tables",
        )
    return name


def is_utf8(charset: str) -> bool:
    """True where the bytes are UTF-8 already."""
    return charset in _UTF8_NAMES


def decoder_of(charset: str) -> Callable[[bytes], str]:
    """A function from a value's bytes to text; it raises UnicodeDecodeError."""
    if charset in TABLES:
        return table_decoder(charset)
    if charset in DECODERS:
        return DECODERS[charset]
    codec = _CODECS.get(charset)
    if codec is None:
        raise DecodeError(
            f"text in character set {charset} can't be decoded",
            hint="convert the column to utf8mb4, or leave it out",
        )
    decode = codecs.lookup(codec).decode
    return lambda data: decode(data, "strict")[0]
