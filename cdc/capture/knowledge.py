"""What is known of tables as the stream moves: decisions by transaction, carried through DDL.

Pure but for the catalogue that it is given; `docs/decisions/0009-descriptions.md` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from cdc.capture.addresses import LOGICAL, is_ambiguous
from cdc.capture.checkpoint import Checkpoint, Flavor
from cdc.capture.ddl import Statement, folded, read_statement
from cdc.capture.decisions import Decision, Decisions, TableName, Why, place_order
from cdc.capture.description import Description
from cdc.capture.dialect import Dialect
from cdc.capture.shapes import Shape
from cdc.model import Record

NEVER = 1 << 62
"""A position behind all that a file may have."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the stream is."""

    transaction: str
    file: str
    pos: int
    """The end of the event, or the begin of its transaction where positions don't reach."""
    server: str = ""
    """Whose file it is, as `Checkpoint.server` has it; empty where that isn't known."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the catalogue says of a table."""

    description: Description | None
    """As the table is at the binlog's end; None: no such table, or not to be read."""
    holds: bool
    """Whether it holds at the place asked for as well: no DDL between there and the end."""
    again_after: tuple[str, int] | None = None
    """File and position after which asking again may give more."""
    kept: frozenset[str] = frozenset()
    """Where it doesn't hold: columns that have the same type there all the same."""


class Catalogue(Protocol):
    """The source's own word on its tables."""

    def find(self, table: TableName, place: Place, *, is_needed: bool = False) -> Found:
        """What is to be known of the table at `place`; if that is needed, whatever it costs."""
        ...


class NoCatalogue:
    """Of files: nobody is there to be asked."""

    def find(self, table: TableName, place: Place, *, is_needed: bool = False) -> Found:
        return Found(None, False)


ChangeKind = Literal["CREATE", "ALTER", "DROP", "MOVE"]


@dataclass(frozen=True, slots=True)
class Change:
    """What a DDL statement did to one table."""

    kind: ChangeKind
    """MOVE: the table has another name now, of which there is a change as well."""
    table: TableName
    description: Description | None
    """Afterwards; None: nothing is known, or the table is gone."""


class Knowledge:
    """Descriptions by table, at the place where the stream is."""

    def __init__(
        self,
        topic: str | None,
        captures: Callable[[str, str], bool],
        tracks: Callable[[str, str], bool],
        *,
        catalogue: Catalogue | None = None,
        stored: Iterable[Decision] = (),
        given: Mapping[TableName, Description] | None = None,
        veil: Callable[[TableName, Description], Description] = lambda _, known: known,
    ) -> None:
        """`topic` is where decisions are kept; None: nowhere. `tracks` names more tables than
        `captures`: those that may become captured ones. `given` holds until something is decided
        on a table. `veil` takes off what is to reach no topic (invariant 9)."""
        self._topic = topic
        self._captures, self._tracks = captures, tracks
        self._veil = veil
        self._catalogue: Catalogue = catalogue or NoCatalogue()
        self._decisions = Decisions(stored)
        self._given = dict(given or {})
        self._names: dict[TableName, TableName] = {}
        """As they are known, by their folded form."""
        self._flavor: Flavor = "mysql"
        self._server = ""
        self._again: dict[TableName, tuple[str, int]] = {}
        self._records: list[Record] = []
        self.has_changed = False
        """Whether `at` put another description in the place of one; the caller resets it."""

    def start(self, checkpoint: Checkpoint) -> None:
        """A reading begins."""
        self._flavor, self._server = checkpoint.flavor, checkpoint.server
        self._decisions.start(checkpoint)
        self._names = {folded(table): table for table in self._given}
        self._names.update((folded(table), table) for table in self._decisions.tables())
        self._records = []
        undecided = (self._decisions.in_force(table) for table in self._decisions.tables())
        self._again = {one.table: ("", 0) for one in undecided if one and not one.is_final}

    @property
    def is_waiting(self) -> bool:
        """Whether `opened` may have to say something."""
        return bool(self._again) or self._decisions.has_ahead

    def waits_until(self, file: str) -> int:
        """The position in this file from which on `opened` may have something to say; NEVER."""
        if self._decisions.has_ahead:
            return 0
        here, _ = place_order(file, 0)
        due = (place_order(*after) for after in self._again.values())
        return min(
            (pos if there == here else 0 for there, pos in due if there <= here), default=NEVER
        )

    def opened(self, place: Place) -> set[TableName]:
        """A transaction begins: the tables whose descriptions are to be asked for anew in it."""
        due = set(self._decisions.ahead_in(place.transaction))
        here = place_order(place.file, place.pos)
        for table, after in list(self._again.items()):
            if here >= place_order(*after):
                del self._again[table]
                self._decisions.withdraw(table)
                due.add(table)
        return due

    def records(self) -> list[Record]:
        """The decisions made since the last call, to be written with the change events."""
        records, self._records = self._records, []
        return records

    def at(self, shape: Shape, place: Place) -> Description | None:
        """What is known of a captured table whose rows of this shape follow."""
        table = (shape.database, shape.table)
        decision = self._decisions.take_ahead(table, place.transaction) or self._in_force(table)
        if decision is not None and decision.why != "dropped":
            known = decision.description
            if known is None:
                return self._unnamed(shape, place)
            if known is not None and known.agrees(shape):
                return known
        given = self._given.get(table)
        if decision is None and given is not None and given.agrees(shape):
            return given
        self.has_changed |= decision is not None
        found = self._ask(table, place, is_needed=self._depends(shape))
        if found.description is not None and found.holds and found.description.agrees(shape):
            self._decide(table, place, found.description, "catalogue")
            return found.description
        self._decide_unknown(table, place, found, {})
        return None

    def known(self, table: TableName) -> Description | None:
        """What is known of a table where the stream is, as it may be kept."""
        known = self._known(table)
        return known and self._veil(table, known)

    def logical_types(self, table: TableName) -> Mapping[str, str]:
        """Of a table without description: columns that look like BINARY, and what they are.

        Keys have such columns, and a key that was bytes first and text later would be another
        key: so their types are known also where DDL on other columns hides the rest."""
        decision = self._in_force(table)
        return dict(decision.logical) if decision is not None else {}

    def _ask(self, table: TableName, place: Place, *, is_needed: bool) -> Found:
        place = replace(place, server=self._server)
        return self._catalogue.find(table, place, is_needed=is_needed)

    def _depends(self, shape: Shape) -> bool:
        """Whether the rows' names, or the types of their key, are the catalogue's to say."""
        key = [shape.columns[i] for i in shape.primary_key]
        return not shape.named or (self._flavor == "mariadb" and any(map(is_ambiguous, key)))

    def _unnamed(self, shape: Shape, place: Place) -> Description | None:
        """Rows without names are named by the catalogue, if it holds at their place."""
        if shape.named:
            return None
        found = self._ask((shape.database, shape.table), place, is_needed=True)
        if found.description is None or not found.holds or not found.description.agrees(shape):
            return None
        return found.description

    def _decide_unknown(
        self, table: TableName, place: Place, found: Found, kept: Mapping[str, str]
    ) -> None:
        """`kept`: what `logical_types` gives besides, by what was known before."""
        is_final = found.again_after is None
        logical = {**kept, **_logical(found.description, found.kept)}
        self._decide(table, place, None, "unknown", is_final=is_final, logical=logical)
        if found.again_after is not None:
            self._again[table] = found.again_after

    def statement(
        self, text: str, database: str, place: Place, dialect: Dialect | None = None
    ) -> tuple[Statement, list[Change]]:
        """A statement passed by: what it does, and what that makes of the tables tracked.

        All tables of the changes are to be bound anew."""
        statement = read_statement(text, database, dialect or self._flavor, self._charset_of)
        if statement.charset_of_database is not None:
            self._keep_charset(*statement.charset_of_database, place)
        if statement.dropped_database is not None or statement.unknown_names is not None:
            return statement, self._changes_of_many(statement, place)
        changes: dict[TableName, Change] = {}
        before = {effect: effect.make(self._known) for effect in statement.effects}
        for effect, description in before.items():
            if effect.moved_from is not None:
                self._apply(changes, "MOVE", self._name(effect.moved_from), None)
            table = effect.table if effect.moved_from else self._name(effect.table)
            if not (effect.keeps_existing and self._exists(table)):
                self._apply(changes, effect.kind, table, description)
        made = [self._carry(change, place, statement) for change in changes.values()]
        return statement, made

    def _apply(
        self,
        changes: dict[TableName, Change],
        kind: ChangeKind,
        table: TableName,
        description: Description | None,
    ) -> None:
        if self._tracks(*table):
            changes.pop(table, None)
            changes[table] = Change(kind, table, description)

    def _changes_of_many(self, statement: Statement, place: Place) -> list[Change]:
        """Of a database that is dropped, or of a statement that isn't known."""
        known = dict.fromkeys([*self._decisions.tables(), *self._given])
        kind: ChangeKind = "DROP" if statement.dropped_database is not None else "ALTER"
        touched = [
            table
            for table in known
            if statement.may_change(table) and (table[1] or kind == "DROP") and self._exists(table)
        ]
        return [self._carry(Change(kind, table, None), place, statement) for table in touched]

    def _carry(self, change: Change, place: Place, statement: Statement) -> Change:
        """Decide on a table after DDL; the catalogue's word comes before what was carried."""
        table = change.table
        before = _logical(self._known(table), None) or self.logical_types(table)
        earlier = self._decisions.take_ahead(table, place.transaction)
        self._again.pop(table, None)
        if earlier is not None:
            return Change(change.kind, table, earlier.description)
        if change.kind in ("DROP", "MOVE"):
            self._decide(table, place, None, "dropped")
            return change
        found = Found(None, False)
        if self._captures(*table):
            found = self._ask(table, place, is_needed=bool(before) and change.description is None)
        if found.description is not None and found.holds:
            self._decide(table, place, found.description, "catalogue")
            return Change(change.kind, table, found.description)
        if change.description is not None:
            self._decide(table, place, change.description, "ddl")
        else:
            kept = {name: kind for name, kind in before.items() if statement.keeps_type(name)}
            self._decide_unknown(table, place, found, kept)
        return change

    def _decide(
        self,
        table: TableName,
        place: Place,
        description: Description | None,
        why: Why,
        *,
        is_final: bool = True,
        logical: Mapping[str, str] | None = None,
    ) -> None:
        types = tuple((logical or {}).items())
        description = description and self._veil(table, description)
        decision = Decision(table, place.transaction, description, why, is_final, types)
        self._names[folded(table)] = table
        self._decisions.put(decision)
        self._again.pop(table, None)
        if self._topic is not None:
            self._records.append(decision.record(self._topic))

    def _in_force(self, table: TableName) -> Decision | None:
        return self._decisions.in_force(self._name(table))

    def _known(self, table: TableName) -> Description | None:
        decision = self._in_force(table)
        return self._given.get(table) if decision is None else decision.description

    def _exists(self, table: TableName) -> bool:
        decision = self._in_force(table)
        return table in self._given if decision is None else decision.why != "dropped"

    def _name(self, table: TableName) -> TableName:
        """The name as it is known: a server may take capitals and small letters for the same."""
        if self._decisions.in_force(table) is not None or table in self._given:
            return table
        return self._names.get(folded(table), table)

    def _keep_charset(self, database: str, charset: str, place: Place) -> None:
        """A database's charset is decided on as a table without name or columns."""
        table = (database, "")
        if self._decisions.take_ahead(table, place.transaction) is None:
            self._decide(table, place, Description((), charset=charset), "ddl")

    def _charset_of(self, database: str) -> str:
        decision = self._decisions.in_force((database, ""))
        return decision.description.charset if decision and decision.description else ""


def _logical(description: Description | None, names: Container[str] | None) -> dict[str, str]:
    """Those of the columns, or of all, that look like BINARY; and what they are."""
    columns = description.columns if description is not None else ()
    return {
        column.name: column.data_type
        for column in columns
        if column.data_type in LOGICAL and (names is None or column.name in names)
    }
