"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

FULL_ROWS = 1_500_000
"""The amount of the published results."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The amounts of one run of the benchmarks."""

    rows: int
    """Rows of the bulk drain, in transactions of `rows_per_transaction`."""
    transactions: int
    """One-row transactions: an insert and two updates of each order."""
    updates: int
    wide_rows: int
    """Of 60 columns."""
    text_rows: int
    """Of 600 bytes."""
    large_rows: int
    """Of 20 kB."""
    giant_bytes: int
    """Of one transaction."""
    plain_rows: int
    """Drained without what is compiled."""
    decoded_rows_min: int
    """Files are decoded as often as it takes, so that the start of the command matters little."""
    latency_seconds: int
    peer_rows: int = 30_000
    """What the reference reader decodes: it would take minutes for all."""
    rows_per_transaction: int = 10_000
    large_rows_per_transaction: int = 500
    commits_per_second: int = 200
    view_latency_seconds: int = 20
    warm_up_seconds: int = 2
    """Commits of the first seconds are awaited, but not in the percentiles."""
    repeats: int = 2
    """How often each drain is measured; the spread of the repeats is the noise (A/A)."""
    starts: int = 5
    """How often the start of `cdc run` is measured."""

    @classmethod
    def of(cls, rows: int) -> Sizes:
        """All amounts in proportion to the rows of the bulk drain."""
        is_full = rows >= FULL_ROWS
        return cls(
            rows=rows,
            transactions=rows // 5,
            updates=rows * 2 // 3,
            wide_rows=rows // 10,
            text_rows=rows // 5,
            large_rows=rows // 150,
            giant_bytes=10**9 if rows >= DEFAULT_ROWS else rows * 100,
            plain_rows=rows // 10,
            decoded_rows_min=max(DECODED_ROWS_MIN, rows),
            latency_seconds=60 if is_full else 20,
        )

    @property
    def orders_in_transactions(self) -> int:
        """Orders that the one-row transactions are about."""
        return self.transactions // 3


DEFAULT_ROWS = 300_000
DECODED_ROWS_MIN = 1_500_000
QUICK = replace(
    Sizes.of(30_000),
    peer_rows=3_000,
    decoded_rows_min=150_000,
    latency_seconds=4,
    view_latency_seconds=4,
    warm_up_seconds=1,
    starts=2,
)
TINY = replace(
    Sizes.of(600),
    rows_per_transaction=100,
    large_rows_per_transaction=2,
    giant_bytes=200_000,
    peer_rows=60,
    decoded_rows_min=1_200,
    commits_per_second=50,
    latency_seconds=1,
    view_latency_seconds=1,
    warm_up_seconds=0,
    repeats=1,
    starts=1,
)
