"""What a case is: a fault by name, what the connector does, and the run that shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.stand import Stand
from tests.faults.striking import Outcome

Strike = Callable[[Stand, int], Outcome]
"""On these servers, with this seed."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    area: str
    """What is struck."""
    name: str
    does: str
    """What the connector does, as its operator sees it."""
    strike: Strike


class Cases(list[Case]):
    """The cases of one area, each a function that is decorated."""

    def __init__(self, area: str) -> None:
        super().__init__()
        self._area = area

    def __call__(self, name: str, does: str) -> Callable[[Strike], Strike]:
        def add(strike: Strike) -> Strike:
            self.append(Case(self._area, name, does, strike))
            return strike

        return add
