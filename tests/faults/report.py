"""What a check found, as figures and as findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Fault = Literal["lost", "doubled", "out_of_order", "wrong_content"]
FAULTS: tuple[Fault, ...] = get_args(Fault)
SHOWN_MAX = 20


@dataclass
class Report:
    """Figures of a run; every fault is counted, the first ones are told."""

    records: int = 0
    changes: int = 0
    """What the ledger says was done."""
    transactions: int = 0
    restarts: int = 0
    replayed: int = 0
    """Copies that at-least-once allows."""
    witnessed: bool = False
    """Whether mysqlbinlog counted too."""
    faults: dict[Fault, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))
    told: list[str] = field(default_factory=list)

    def add(self, fault: Fault, check: int, text: str) -> None:
        """A fault, found by this check of the specification."""
        self.faults[fault] += 1
        if len(self.told) < SHOWN_MAX:
            self.told.append(f"check {check}: {fault}: {text}")

    @property
    def is_right(self) -> bool:
        return not any(self.faults.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "changes": self.changes,
            "transactions": self.transactions,
            "restarts": self.restarts,
            "replayed": self.replayed,
            "witnessed": self.witnessed,
            **self.faults,
            "told": self.told,
        }

    def __str__(self) -> str:
        figures = {name: one for name, one in self.as_json().items() if name != "told"}
        return "\n".join([*lines(figures.items()), *self.told])


def lines(figures: Iterable[tuple[str, Any]]) -> list[str]:
    """Figures as aligned lines."""
    return [
        f"{name.replace('_', ' '):14} {str(one).lower() if isinstance(one, bool) else one:>10}"
        for name, one in figures
    ]
