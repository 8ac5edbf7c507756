"""Which columns are published, which are masked or cut, and which make the key.

Names and regular expressions are Debezium's: a list is joined by commas (`\\,` is a comma), each
expression matches the whole of `database.table.column`, in whatever case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cdc.errors import DecodeError
from cdc.findings import nearest

HASHES = {
    "MD5": "md5", "SHA": "sha1", "SHA-1": "sha1", "SHA-224": "sha224", "SHA-256": "sha256",
    "SHA-384": "sha384", "SHA-512": "sha512", "SHA3-224": "sha3_224", "SHA3-256": "sha3_256",
    "SHA3-384": "sha3_384", "SHA3-512": "sha3_512",
}  # fmt: skip
"""Java's names of hash algorithms → Python's."""


@dataclass(frozen=True, slots=True)
class NamePatterns:
    """Regular expressions of which one has to match a whole name."""

    texts: tuple[str, ...] = ()
    _compiled: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        compiled = tuple(re.compile(text, re.IGNORECASE) for text in self.texts)
        object.__setattr__(self, "_compiled", compiled)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def matches(self, name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in self._compiled)

    def idle(self, names: Sequence[str]) -> list[str]:
        """The expressions that match none of the names."""
        return [
            pattern.pattern for pattern in self._compiled if not any(map(pattern.fullmatch, names))
        ]


NO_NAMES = NamePatterns()


@dataclass(frozen=True, slots=True)
class Mask:
    """How the text of some columns is hidden: by asterisks, or by a hash with a salt."""

    columns: NamePatterns
    asterisks: int = 0
    algorithm: str = ""
    """A name of hashlib; empty: asterisks."""
    salt: str = field(default="", repr=False)  # a secret: never in an error (invariant 9)
    is_v1: bool = False
    """The text is hashed as Java serializes it; v2 hashes the text itself."""

    @property
    def option(self) -> str:
        """The option's name, without the salt."""
        if not self.algorithm:
            return f"column.mask.with.{self.asterisks}.chars"
        return f"column.mask.hash.{'' if self.is_v1 else 'v2.'}{self.algorithm}.with.salt.…"


@dataclass(frozen=True, slots=True)
class Truncation:
    """How long the text or bytes of some columns may be."""

    columns: NamePatterns
    length_max: int

    @property
    def option(self) -> str:
        return f"column.truncate.to.{self.length_max}.chars"


@dataclass(frozen=True, slots=True)
class KeyRule:
    """One part of `message.key.columns`: which tables' keys have which columns."""

    tables: NamePatterns
    columns: tuple[tuple[str, NamePatterns], ...]
    """Each as it is written, and by its whole name."""

    def of(self, table: str, columns: Sequence[str]) -> list[int]:
        """Indexes of the columns, in the rule's order; empty: it isn't about this table.

        DecodeError for a column that isn't there: the others alone would be another key."""
        found = [
            [i for i, column in enumerate(columns) if pattern.matches(f"{table}.{column}")]
            for _, pattern in self.columns
        ]
        if not any(found) and not self.tables.matches(table):
            return []
        for (text, _), indexes in zip(self.columns, found, strict=True):
            if not indexes:
                raise DecodeError(
                    f"message.key.columns names {text} for the key of {table}, which has no"
                    " such column",
                    hint=nearest(text, columns),
                )
        return [i for indexes in found for i in indexes]


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """All that the settings say of single columns."""

    include: NamePatterns | None = None
    exclude: NamePatterns | None = None
    masks: tuple[Mask, ...] = ()
    truncations: tuple[Truncation, ...] = ()
    source_types_of_columns: NamePatterns = NO_NAMES
    source_types_of_types: NamePatterns = NO_NAMES
    key: tuple[KeyRule, ...] = ()
    """`message.key.columns`."""

    def is_excluded(self, name: str) -> bool:
        """True if `column.exclude.list` names it: it reaches no topic, not even a key."""
        return self.exclude is not None and self.exclude.matches(name)

    def is_included(self, name: str) -> bool:
        """True if the value holds the column; a key may hold it all the same."""
        if self.include is not None:
            return self.include.matches(name)
        return not self.is_excluded(name)

    def mask_of(self, name: str) -> Mask | None:
        return next((mask for mask in self.masks if mask.columns.matches(name)), None)

    def length_max_of(self, name: str) -> int | None:
        found = (one.length_max for one in self.truncations if one.columns.matches(name))
        return next(found, None)

    def shows_source_type(self, table: str, column: str, type_name: str) -> bool:
        return self.source_types_of_columns.matches(f"{table}.{column}") or (
            self.source_types_of_types.matches(f"{table}.{type_name}")
        )

    def idle(self, columns: Sequence[str]) -> Iterator[tuple[str, str]]:
        """(option, expression) of each that matches no `database.table.column`."""
        named: list[tuple[str, NamePatterns | None]] = [
            ("column.include.list", self.include),
            ("column.exclude.list", self.exclude),
            ("column.propagate.source.type", self.source_types_of_columns),
            *(("message.key.columns", one) for rule in self.key for _, one in rule.columns),
            *((mask.option, mask.columns) for mask in self.masks),
            *((truncation.option, truncation.columns) for truncation in self.truncations),
        ]
        for option, patterns in named:
            for text in patterns.idle(columns) if patterns else ():
                yield option, text

    def key_columns(self, table: str, columns: Sequence[str]) -> list[int]:
        """Indexes of the configured key's columns, in its order; empty: none is configured.

        DecodeError if one of them isn't there."""
        return list(dict.fromkeys(i for rule in self.key for i in rule.of(table, columns)))


NO_RULES = ColumnRules()


def parse_patterns(value: object) -> NamePatterns:
    """A list of regular expressions; ValueError says which one is none."""
    if isinstance(value, list):
        texts = value
    else:
        texts = [text.replace("\\,", ",") for text in re.split(r"(?<!\\),", str(value))]
    found = tuple(text for text in (str(text).strip() for text in texts) if text)
    for text in found:
        try:
            re.compile(text)
        except re.error as error:
            raise ValueError(f"regular expressions joined by commas; {error}") from None
    if not found:
        raise ValueError("regular expressions of database.table.column, joined by commas")
    return NamePatterns(found)


_KEY = re.compile(r"\s*([^\s:]+):,*([^:\s,][^:\s]*)\s*")


def parse_key_columns(value: object) -> tuple[KeyRule, ...]:
    """`database.table:column,column;…`, each part a regular expression."""
    parts = value if isinstance(value, list) else str(value).split(";")
    found: list[KeyRule] = []
    for part in parts:
        matched = _KEY.fullmatch(str(part))
        if matched is None:
            raise ValueError("database.table:column,column joined by semicolons")
        table, columns = matched.groups()
        names = [name for name in columns.split(",") if name]
        patterns = [parse_patterns([f"{table}.{name}"]) for name in names]
        found.append(KeyRule(parse_patterns([table]), tuple(zip(names, patterns, strict=True))))
    return tuple(found)
