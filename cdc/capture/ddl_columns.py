"""A column's definition in DDL, as the catalogue would show it afterwards.

Types come out in the form of `information_schema.columns.COLUMN_TYPE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cdc.capture.checkpoint import Flavor
from cdc.capture.data_types import DATA_TYPES
from cdc.capture.ddl_defaults import settled_default
from cdc.capture.description import ColumnDescription
from cdc.capture.dialect import Dialect
from cdc.capture.sql_tokens import STRING, NotUnderstood, Token, Tokens

_SYNONYMS: Final = {
    "INTEGER": "int", "INT1": "tinyint", "INT2": "smallint", "INT3": "mediumint",
    "MIDDLEINT": "mediumint", "INT4": "int", "INT8": "bigint", "DEC": "decimal",
    "NUMERIC": "decimal", "FIXED": "decimal", "REAL": "double", "FLOAT8": "double",
    "FLOAT4": "float", "CHARACTER": "char", "NCHAR": "char", "NVARCHAR": "varchar",
    "VARCHARACTER": "varchar", "VARCHAR2": "varchar", "GEOMETRYCOLLECTION": "geomcollection",
    "NUMBER": "decimal", "CLOB": "longtext", "RAW": "varbinary",
}  # fmt: skip
_INTEGERS: Final = {
    # Display widths that MariaDB shows: signed, unsigned.
    "tinyint": (4, 3), "smallint": (6, 5), "mediumint": (9, 8), "int": (11, 10),
    "bigint": (20, 20),
}  # fmt: skip
_TEXTS: Final = ("tinytext", "text", "mediumtext", "longtext")
_BLOBS: Final = ("tinyblob", "blob", "mediumblob", "longblob")
_WITH_CHARSET: Final = frozenset({"char", "varchar", "enum", "set", *_TEXTS})
_NOW: Final = ("CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP")
_FLOAT_DIGITS_MAX: Final = 24


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """What a definition says, and where its column is to stand."""

    column: ColumnDescription
    is_primary: bool = False
    is_unique: bool = False
    after: str | None = None
    """The column in front of it; empty: first; None: where it is, or last."""


def read_column(tokens: Tokens, dialect: Dialect, charset: str) -> ColumnDefinition:
    """Name, type and attributes; `charset` is the table's. NotUnderstood for anything new."""
    name = tokens.name()
    attributes = _Attributes(dialect)
    attributes.read_type(tokens)
    while not tokens.is_end and tokens.next.text != ",":
        attributes.read_one(tokens)
    return attributes.definition(name, charset)


class _Attributes:
    """Collects what stands behind a column's name."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect, self._flavor = dialect, dialect.flavor
        self._base, self._arguments = "", ""
        self._unsigned = self._zerofill = False
        self._nullable: bool | None = None
        self._default: str | None = None
        self._extra: list[str] = []
        self._comment, self._charset = "", ""
        self._is_primary = self._is_unique = False
        self._after: str | None = None
        self._is_json = False
        """MariaDB's JSON, which is a LONGTEXT with a charset of its own."""

    def read_type(self, tokens: Tokens) -> None:
        word = tokens.take().upper
        if word == "NATIONAL":
            word = tokens.take().upper
            self._charset = "utf8mb3"
        elif word in ("NCHAR", "NVARCHAR"):
            self._charset = "utf8mb3"
        if word == "LONG":
            is_bytes = tokens.skip("VARBINARY")
            tokens.skip_any("VARCHAR", "VARCHARACTER")
            self._base = "mediumblob" if is_bytes else "mediumtext"
            return
        if word == "SERIAL":
            self._base, self._unsigned, self._nullable = "bigint", True, False
            self._extra.append("auto_increment")
            self._is_unique = True
            return
        if word in ("BOOL", "BOOLEAN"):
            self._base, self._arguments = "tinyint", "1"
            return
        tokens.skip("PRECISION")
        base = _SYNONYMS.get(word, word.lower())
        if word == "REAL" and self._dialect.has_short_reals:
            base = "float"
        if tokens.skip_any("VARYING") and base == "char":
            base = "varchar"
        if base not in DATA_TYPES:
            raise NotUnderstood(f"the type {word or tokens.next.text!r} isn't known")
        arguments = tokens.group() if tokens.next.text == "(" else ()
        self._base, self._arguments = _settled(base, arguments, self._flavor)
        self._is_json = base == "json" and self._flavor == "mariadb"

    def read_one(self, tokens: Tokens) -> None:
        """One attribute; NotUnderstood if it isn't known."""
        word = tokens.take().upper
        if word in _FLAGS:
            _FLAGS[word](self)
        elif word == "NOT" and tokens.skip("NULL"):
            self._nullable = False
        elif word in ("CHARSET", "CHARACTER", "CHAR"):
            if word != "CHARSET":
                tokens.skip("SET")
            tokens.skip("=")
            self._charset = tokens.take().value.lower()
        elif word == "COLLATE":
            tokens.skip("=")
            self._charset = self._charset or tokens.next.value.lower().split("_")[0]
            tokens.take()
        elif word == "DEFAULT":
            self._read_default(tokens)
        elif word == "ON" and tokens.skip("UPDATE"):
            tokens.take()
            argument = _text(tokens.group()) if tokens.next.text == "(" else ""
            self._extra.append(f"on update CURRENT_TIMESTAMP{f'({argument})' if argument else ''}")
        elif word == "PRIMARY":
            tokens.skip("KEY")
            self._is_primary, self._nullable = True, False
        elif word == "KEY":
            self._is_primary, self._nullable = True, False
        elif word == "UNIQUE":
            tokens.skip("KEY")
            self._is_unique = True
        elif word == "COMMENT":
            self._comment = tokens.take().value
        elif word in ("GENERATED", "AS"):
            self._read_generated(tokens, word)
        elif word == "FIRST":
            self._after = ""
        elif word == "AFTER":
            self._after = tokens.name()
        else:
            _pass_by(word, tokens)

    def _read_default(self, tokens: Tokens) -> None:
        self._default = read_default(tokens)
        if self._default is not None and self._default.startswith("("):
            self._extra.append("DEFAULT_GENERATED")

    def _read_generated(self, tokens: Tokens, word: str) -> None:
        if word == "GENERATED":
            tokens.skip("ALWAYS")
            if not tokens.skip("AS"):
                raise NotUnderstood("AS is missing")
        if tokens.skip("ROW"):
            raise NotUnderstood("periods of system versioning aren't known")
        tokens.group()
        is_stored = bool(tokens.skip_any("STORED", "PERSISTENT"))
        tokens.skip("VIRTUAL")
        self._extra.append("STORED GENERATED" if is_stored else "VIRTUAL GENERATED")

    def definition(self, name: str, table_charset: str) -> ColumnDefinition:
        base = self._base
        charset = ""
        if self._is_json:
            charset = "utf8mb4"
        elif base in _WITH_CHARSET:
            charset = {"utf8": "utf8mb3"}.get(self._charset, self._charset) or table_charset
        if charset == "binary" and base not in ("enum", "set"):
            base = {"char": "binary", "varchar": "varbinary"}.get(
                base, base.replace("text", "blob")
            )
            charset = ""
        arguments = self._arguments
        if base in _INTEGERS:
            arguments = self._width(base)
        column_type = f"{base}({arguments})" if arguments else base
        column_type += " unsigned" if self._unsigned or self._zerofill else ""
        column_type += " zerofill" if self._zerofill else ""
        default = settled_default(self._default, base, column_type, self._dialect)
        column = ColumnDescription(
            name,
            base,
            column_type,
            True if self._nullable is None else self._nullable,
            default,
            " ".join(self._extra),
            self._comment,
            charset,
        )
        return ColumnDefinition(column, self._is_primary, self._is_unique, self._after)

    def _width(self, base: str) -> str:
        """The display width of an integer, where the server shows one."""
        is_unsigned = self._unsigned or self._zerofill
        if self._flavor == "mysql" and not self._zerofill:  # from 8.0.19 on
            return "1" if (base, self._arguments) == ("tinyint", "1") and not is_unsigned else ""
        return self._arguments or str(_INTEGERS[base][is_unsigned])

    def unsigned(self) -> None:
        self._unsigned = True

    def zerofill(self) -> None:
        self._zerofill = True

    def null(self) -> None:
        self._nullable = True

    def auto_increment(self) -> None:
        self._extra.append("auto_increment")
        self._nullable = False

    def invisible(self) -> None:
        self._extra.append("INVISIBLE")

    def nothing(self) -> None:
        """A word that changes nothing here."""

    def ascii(self) -> None:
        self._charset = "latin1"


_FLAGS: Final = {
    "UNSIGNED": _Attributes.unsigned, "ZEROFILL": _Attributes.zerofill, "NULL": _Attributes.null,
    "AUTO_INCREMENT": _Attributes.auto_increment, "INVISIBLE": _Attributes.invisible,
    "VISIBLE": _Attributes.nothing, "SIGNED": _Attributes.nothing, "BINARY": _Attributes.nothing,
    "ASCII": _Attributes.ascii, "VIRTUAL": _Attributes.nothing, "STORED": _Attributes.nothing,
}  # fmt: skip


def _settled(base: str, arguments: Sequence[Token], flavor: Flavor) -> tuple[str, str]:
    """Type and arguments as the catalogue shows them."""
    given = _text(arguments)
    if base == "float" and given.isdigit():
        return ("float" if int(given) <= _FLOAT_DIGITS_MAX else "double"), ""
    if base == "decimal":
        return base, {0: "10,0", 1: f"{given},0"}.get(given.count(",") + bool(given), given)
    if base in ("char", "binary", "bit"):
        return base, given or "1"
    if base == "year":
        return base, "4" if flavor == "mariadb" else ""
    if base == "json" and flavor == "mariadb":
        return "longtext", ""
    for family in (_TEXTS, _BLOBS):
        if base == family[1] and given:
            return family[_size_class(int(given))], ""
    if base in ("enum", "set"):
        labels = (token.value for token in arguments if token.kind == STRING)
        return base, ",".join("'" + label.replace("'", "''") + "'" for label in labels)
    if base in ("date", "json", "uuid", "inet4", "inet6"):
        return base, ""
    if base in ("time", "datetime", "timestamp") and given == "0":
        return base, ""
    if base == "geomcollection" and flavor == "mariadb":
        return "geometrycollection", ""
    return base, given


def _size_class(size: int) -> int:
    return sum(size > limit for limit in (255, 65535, 16777215))


def read_default(tokens: Tokens) -> str | None:
    """A default behind DEFAULT, as `defaults.py` takes it; None for NULL."""
    token = tokens.take()
    if token.text == "(":
        tokens.at -= 1
        inside = tokens.group()
        return f"({_text(inside)})"
    if token.text in ("-", "+"):
        return ("-" if token.text == "-" else "") + tokens.take().text
    if token.kind == STRING:
        if token.text[0] in "bB":
            return f"b'{token.text[2:-1]}'"
        if token.text[0] in "xX":
            return f"0x{token.text[2:-1]}"
        quoted = token.value.replace("\\", "\\\\").replace("'", "''")
        return f"'{quoted}'"
    if token.upper == "NULL":
        return None
    if token.upper in ("TRUE", "FALSE"):
        return "1" if token.upper == "TRUE" else "0"
    if token.upper in _NOW:
        argument = _text(tokens.group()) if tokens.next.text == "(" else ""
        return f"CURRENT_TIMESTAMP{f'({argument})' if argument else ''}"
    if tokens.next.text == "(":  # MariaDB takes a function without more parentheses
        return f"({token.text}({_text(tokens.group())}))"
    if token.kind in ("number", "word"):
        return token.text
    raise NotUnderstood(f"the default {token.text!r} isn't known")


def _pass_by(word: str, tokens: Tokens) -> None:
    """Step over an attribute that no description holds."""
    if word in ("COLUMN_FORMAT", "STORAGE", "ENFORCED"):
        if word != "ENFORCED":
            tokens.take()
    elif word in ("ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE", "SRID", "REF_SYSTEM_ID"):
        tokens.skip("=")
        tokens.take()
    elif word == "REFERENCES":
        pass_references(tokens)
    elif word in ("CONSTRAINT", "CHECK"):
        if word == "CONSTRAINT" and not tokens.skip("CHECK"):
            tokens.name()
            tokens.skip("CHECK")
        tokens.group()
        tokens.skip("NOT")
        tokens.skip("ENFORCED")
    elif word == "COMPRESSED":
        if tokens.skip("="):
            tokens.take()
    else:
        raise NotUnderstood(f"the attribute {word or 'in ' + tokens.next.text!r} isn't known")


def pass_references(tokens: Tokens) -> None:
    """Step over the part of a foreign key behind REFERENCES."""
    tokens.name()
    if tokens.skip("."):
        tokens.name()
    if tokens.next.text == "(":
        tokens.group()
    if tokens.skip("MATCH"):
        tokens.take()
    while tokens.skip("ON", "DELETE") or tokens.skip("ON", "UPDATE"):
        first = tokens.take().upper
        if first in ("SET", "NO"):
            tokens.take()


def _text(tokens: Sequence[Token]) -> str:
    return "".join(token.text for token in tokens)
