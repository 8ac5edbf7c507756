"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """The amounts of one run of the benchmarks."""

    rows: int = 300_000
    """Rows of the bulk drain, in transactions of `rows_per_transaction`."""
    transactions: int = 60_000
    """One-row transactions: an insert and two updates of each order."""
    rows_per_transaction: int = 10_000
    peer_rows: int = 30_000
    """What the reference reader decodes: it would take minutes for all."""
    decoded_rows_min: int = 1_500_000
    """Files are decoded as often as it takes, so that the start of the command matters little."""
    commits_per_second: int = 200
    latency_seconds: int = 20
    warm_up_seconds: int = 2
    """Commits of the first seconds are awaited, but not in the percentiles."""
    repeats: int = 2
    """How often each drain is measured; the spread of the repeats is the noise (A/A)."""
    starts: int = 5
    """How often the start of `cdc run` is measured."""

    @property
    def orders_in_transactions(self) -> int:
        """Orders that the one-row transactions are about."""
        return self.transactions // 3


QUICK = Sizes(
    rows=30_000,
    transactions=6_000,
    peer_rows=3_000,
    decoded_rows_min=150_000,
    latency_seconds=4,
    warm_up_seconds=1,
    starts=2,
)

TINY = Sizes(
    rows=600,
    transactions=150,
    rows_per_transaction=100,
    peer_rows=100,
    decoded_rows_min=1_200,
    commits_per_second=50,
    latency_seconds=1,
    warm_up_seconds=0,
    repeats=1,
    starts=1,
)
