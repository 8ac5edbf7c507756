"""The exact checker: what the source's ledger tells against what the topics hold.

Checks by number: 1 no gap, 2 order and partition by key, 3 copies, 4 content, 5 transactions,
6 places in the source, 7 the state at the end, 8 mysqlbinlog's counts, 9 schemas, 10 official
events."""

from __future__ import annotations

import argparse
import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

from cdc.config import load
from cdc.services import DatabaseAddress, MySQLServer
from tests.faults.collecting import collect
from tests.faults.copies import first_copies
from tests.faults.decoding import TRANSACTION, Change, Decoder, Record
from tests.faults.evidence import Evidence
from tests.faults.histories import Histories, check_counts
from tests.faults.official import Officials
from tests.faults.report import Report
from tests.faults.transactions import Transactions
from tests.services_plugin import FreshDatabase

Delivery = Literal["exactly_once", "at_least_once"]
SOURCE = "CDC_FAULTS_SOURCE"


def check(
    evidence: Evidence,
    *,
    delivery: Delivery = "exactly_once",
    decoder: Decoder | None = None,
) -> Report:
    """All checks of a run."""
    report = Report(changes=len(evidence.ledger), restarts=len(evidence.restarts))
    histories = Histories(evidence, report)
    changes: list[Change] = []
    bounds: list[list[Record]] = []
    decoder = decoder or Decoder(evidence)
    officials = Officials(evidence, decoder, report)
    copies = first_copies(
        evidence,
        decoder,
        report,
        is_exact=delivery == "exactly_once",
        each=officials.expect if evidence.is_translated else lambda change: None,
    )
    for place, records in copies:
        ours = [one for one in records if isinstance(one, Change)]
        for before, change in pairwise(ours):
            if change.revision <= before.revision:
                text = f"{place}: {change.id} ({change.revision}) is behind {before.revision}"
                report.add("out_of_order", 6, text)
        for change in ours:
            histories.read(change)
        changes += ours
        bounds.append(
            [one for one in records if isinstance(one, Record) and one.kind == TRANSACTION]
        )
    histories.finish()
    changes.sort(key=lambda one: one.revision)
    Transactions(evidence, report, changes, bounds).check()
    check_counts(evidence, changes, report)
    officials.check()
    return report


def main() -> int:
    """Exit code 0 all is right, 1 something is not, 2 wrong usage."""
    parser = _parser()
    wanted = parser.parse_args()
    if wanted.self_test:
        from tests.faults.self_test import self_test

        return self_test(wanted.seed, wanted.places, is_json=wanted.json)
    if wanted.dump:
        evidence = Evidence.load(wanted.dump)
    elif wanted.connector and wanted.database:
        server = MySQLServer(DatabaseAddress.parse(wanted.source, variable=SOURCE), None, None)
        config = load(wanted.connector, os.environ)
        evidence = collect(config, FreshDatabase(server, wanted.database))
    else:
        parser.error("give --dump, --connector with --database, or --self-test")
    if wanted.save:
        evidence.save(wanted.save)
    report = check(evidence, delivery=wanted.delivery)
    print(json.dumps(report.as_json()) if wanted.json else report)
    return 0 if report.is_right else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.checker",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m tests.faults.checker --dump run.gz --json",
    )
    parser.add_argument("--dump", type=Path, metavar="FILE", help="a run that was saved")
    parser.add_argument("--connector", type=Path, metavar="FILE", help="live: its connector file")
    parser.add_argument("--database", metavar="NAME", help="live: the workload's database")
    parser.add_argument(
        "--source",
        default=os.environ.get(SOURCE, ""),
        metavar="URL",
        help=f"live: mysql://user:password@host:port, who may read all  [default: ${SOURCE}]",
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the run, for --dump")
    parser.add_argument("--delivery", choices=get_args(Delivery), default="exactly_once")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--self-test", action="store_true", help="damage a good run; see all found")
    parser.add_argument("--places", type=int, default=50, help="how often each damage is done")
    parser.add_argument("--seed", type=int, help="of the self-test  [default: a fresh one]")
    return parser


if __name__ == "__main__":
    sys.exit(main())
