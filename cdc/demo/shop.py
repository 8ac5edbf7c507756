"""The shop's program: plain INSERT, UPDATE and DELETE in transactions, nothing of events."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymysql.connections import Connection

DATABASE = "demo_shop"
TABLES = ("customers", "orders", "order_lines")
OPEN_ORDERS_MAX = 500
"""Orders of one status that the program has in mind; older ones stay as they are."""
LINES_MAX = 3
ROLLED_BACK_SHARE = 0.06

PRODUCTS = (
    ("tea", Decimal("4.90")),
    ("teapot", Decimal("39.50")),
    ("cup", Decimal("7.25")),
    ("kettle", Decimal("64.00")),
    ("honey", Decimal("6.80")),
    ("biscuits", Decimal("3.15")),
    ("tray", Decimal("18.99")),
)
NAMES = ("Ada", "Bela", "Chen", "Dana", "Emil", "Fatou", "Goran", "Hana", "Ines", "Juri")
CARRIERS = ("DHL", "UPS", "Post", "bike", None)
"""None: the customer comes and takes it."""
PAYMENTS = ("card", "card", "transfer", "voucher")


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one transaction did, as it was sent to the server."""

    statements: tuple[str, ...]
    rows: Counter[str]
    """Rows that were inserted, updated, deleted."""
    is_rolled_back: bool = False


def statements_of(name: str) -> Iterator[str]:
    """The statements of one of the demo's SQL files."""
    text = resources.files("cdc.demo").joinpath(name).read_text(encoding="utf-8")
    for statement in text.split(";\n"):
        if any(line and not line.startswith("--") for line in statement.splitlines()):
            yield statement.strip()


@dataclass(slots=True)
class Shop:
    """Customers and orders, in the database that the connection uses; the same seed does the
    same things."""

    connection: Connection[Any]
    random: random.Random
    on_transaction: Callable[[Transaction], None]
    _customers: list[int] = field(default_factory=list)
    _orders: dict[str, list[int]] = field(
        default_factory=lambda: {"placed": [], "paid": [], "cancelled": []}
    )
    _emails: int = 0

    def open(self, customers: int = 5) -> None:
        """The first customers."""
        for _ in range(customers):
            self._do(self._register)

    def act(self) -> None:
        """One transaction, of those that a shop has."""
        acts: Sequence[tuple[int, Callable[[_Transaction], None], bool]] = (
            (2, self._register, True),
            (2, self._change_email, True),
            (14, self._place, True),
            (10, self._pay, bool(self._orders["placed"])),
            (8, self._ship, bool(self._orders["paid"])),
            (4, self._correct, bool(self._orders["placed"])),
            (3, self._cancel, bool(self._orders["placed"])),
            (2, self._remove, bool(self._orders["cancelled"])),
        )
        possible = [(weight, act) for weight, act, is_possible in acts if is_possible]
        ((_, act),) = self.random.choices(possible, [weight for weight, _ in possible])
        self._do(act)

    def place_last(self) -> int:
        """One more order; its number."""
        self._do(self._place, may_roll_back=False)
        return self._orders["placed"][-1]

    # Transactions

    def _do(self, act: Callable[[_Transaction], None], *, may_roll_back: bool = True) -> None:
        is_doomed = may_roll_back and act == self._place
        is_doomed = is_doomed and self.random.random() < ROLLED_BACK_SHARE
        kept = {status: list(orders) for status, orders in self._orders.items()}
        transaction = _Transaction(self.connection)
        self.connection.begin()
        act(transaction)
        if is_doomed:
            self.connection.rollback()
            self._orders = kept
        else:
            self.connection.commit()
        rows = +transaction.rows
        self.on_transaction(Transaction(tuple(transaction.statements), rows, is_doomed))

    def _register(self, transaction: _Transaction) -> None:
        self._emails += 1
        name = self.random.choice(NAMES)
        customer = transaction.insert(
            "INSERT INTO customers (name, email) VALUES (%s, %s)",
            (name, f"{name.lower()}{self._emails}@example.com"),
        )
        self._customers.append(customer)

    def _change_email(self, transaction: _Transaction) -> None:
        self._emails += 1
        transaction.update(
            "UPDATE customers SET email = %s WHERE id = %s",
            (f"new{self._emails}@example.com", self.random.choice(self._customers)),
        )

    def _place(self, transaction: _Transaction) -> None:
        lines = [
            (product, self.random.randint(1, 4), price)
            for product, price in self.random.sample(PRODUCTS, self.random.randint(1, LINES_MAX))
        ]
        order = transaction.insert(
            "INSERT INTO orders (customer_id, payment_method, item_count, total)"
            " VALUES (%s, %s, %s, %s)",
            (
                self.random.choice(self._customers),
                self.random.choice(PAYMENTS),
                sum(quantity for _, quantity, _ in lines),
                sum(quantity * price for _, quantity, price in lines),
            ),
        )
        for line in lines:
            transaction.insert(
                "INSERT INTO order_lines (order_id, product, quantity, unit_price)"
                " VALUES (%s, %s, %s, %s)",
                (order, *line),
            )
        self._keep("placed", order)

    def _pay(self, transaction: _Transaction) -> None:
        order = self._take("placed")
        transaction.update("UPDATE orders SET status = 'paid' WHERE id = %s", (order,))
        self._keep("paid", order)

    def _ship(self, transaction: _Transaction) -> None:
        transaction.update(
            "UPDATE orders SET status = 'shipped', carrier = %s WHERE id = %s",
            (self.random.choice(CARRIERS), self._take("paid")),
        )

    def _correct(self, transaction: _Transaction) -> None:
        """One thing more of each line; the order's sums follow."""
        order = self.random.choice(self._orders["placed"])
        transaction.update(
            "UPDATE order_lines SET quantity = quantity + 1 WHERE order_id = %s", (order,)
        )
        transaction.update(
            "UPDATE orders SET item_count = (SELECT SUM(quantity) FROM order_lines"
            " WHERE order_id = orders.id), total = (SELECT SUM(quantity * unit_price)"
            " FROM order_lines WHERE order_id = orders.id) WHERE id = %s",
            (order,),
        )

    def _cancel(self, transaction: _Transaction) -> None:
        order = self._take("placed")
        transaction.update("UPDATE orders SET status = 'cancelled' WHERE id = %s", (order,))
        self._keep("cancelled", order)

    def _remove(self, transaction: _Transaction) -> None:
        order = self._take("cancelled")
        transaction.delete("DELETE FROM order_lines WHERE order_id = %s", (order,))
        transaction.delete("DELETE FROM orders WHERE id = %s", (order,))

    def _take(self, status: str) -> int:
        """One of the older orders of this status, so that orders come to their end."""
        orders = self._orders[status]
        return orders.pop(self.random.randrange(min(len(orders), 4)))

    def _keep(self, status: str, order: int) -> None:
        self._orders[status] = [*self._orders[status], order][-OPEN_ORDERS_MAX:]


class _Transaction:
    """Statements of one transaction, noted as they are sent."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self.statements: list[str] = []
        self.rows: Counter[str] = Counter()

    def insert(self, statement: str, values: tuple[Any, ...]) -> int:
        """The new row's number."""
        return self._execute("inserted", statement, values)

    def update(self, statement: str, values: tuple[Any, ...]) -> None:
        self._execute("updated", statement, values)

    def delete(self, statement: str, values: tuple[Any, ...]) -> None:
        self._execute("deleted", statement, values)

    def _execute(self, kind: str, statement: str, values: tuple[Any, ...]) -> int:
        with self._connection.cursor() as cursor:
            self.statements.append(cursor.mogrify(statement, values))
            self.rows[kind] += cursor.execute(statement, values)
            return int(cursor.lastrowid)


def keep_shop(shop: Shop, stop: threading.Event, pause_seconds: Callable[[], float | None]) -> int:
    """Open the shop and act until `stop` or until the pause is None; the last order's number."""
    shop.open()
    while (pause := pause_seconds()) is not None and not stop.wait(pause):
        shop.act()
    return shop.place_last()
