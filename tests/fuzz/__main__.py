"""`python -m tests.fuzz`: mutate, run in both forms, keep what is new; `--keep` into the corpus."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.forms_plugin import compiled, plain
from tests.fuzz.lines import Watch
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import CORPUS, corpus, seeds
from tests.fuzz.targets import run

FOUND = Path(".fuzz")
LINES_MAX = 3_000_000
OUTPUT_PER_BYTE_MAX = 1000
CORPUS_BYTES_MAX = 1 << 20
Input = tuple[str, bytes]


@dataclass
class Fuzzer:
    """A growing set of inputs that each reached something new."""

    random: Random
    is_watched: bool
    """False: no coverage and no plain form, for runs under a sanitizer."""
    inputs: list[Input] = field(default_factory=list)
    seen: set[object] = field(default_factory=set)
    finds: dict[str, Input] = field(default_factory=dict)
    runs: int = 0

    def offer(self, one: Input) -> bool:
        """Run an input; True if it showed something new."""
        self.runs += 1
        target, data = one
        # What a crash of the process leaves behind.
        (FOUND / "current").write_bytes(target.encode() + b"\n" + data)
        try:
            new = self._features(target, data) - self.seen
        except Exception as find:  # noqa: BLE001  # any is a find
            self._note(one, "".join(traceback.format_exception(find)))
            return False
        self.seen |= new
        if new:
            self.inputs.append(one)
        return bool(new)

    def step(self) -> None:
        """One mutation of one input; the newer ones more often."""
        last = len(self.inputs) - 1
        i = self.random.randrange(last + 1)
        if self.random.random() < 0.3:
            i = self.random.randrange(max(0, last - 50), last + 1)
        target, data = self.inputs[i]
        same = [other for kind, other in self.random.choices(self.inputs, k=20) if kind == target]
        self.offer((target, mutated(self.random, target, data, same[0] if same else b"")))

    def _features(self, target: str, data: bytes) -> set[object]:
        found: set[object] = set()
        form = compiled()
        theirs = run(form, target, data) if form else None
        if self.is_watched:
            watch = Watch(LINES_MAX)
            ours = watch.run(lambda: run(plain(), target, data))
            found |= watch.steps
            assert theirs is None or ours == theirs, f"plain {ours}\ncompiled {theirs}"
        else:
            assert theirs is not None, "without the compiled form nothing runs"
            ours = theirs
        for outcome in ours:
            assert outcome.size <= OUTPUT_PER_BYTE_MAX * len(data) + (1 << 16), outcome.size
            found.add((target, bool(outcome.error), outcome.size.bit_length()))
        return found

    def _note(self, one: Input, what: str) -> None:
        """Keep one input of each kind of find, the smallest."""
        target, data = one
        name = hashlib.sha256(_signature(what).encode()).hexdigest()[:12]
        known = self.finds.get(name)
        if known is None:
            sys.stderr.write(f"find {name} ({target}, {len(data)} bytes)\n{what}\n")
        if known is None or len(known[1]) > len(data):
            self.finds[name] = one
            (FOUND / f"find-{name}.{target}").write_bytes(data)
            (FOUND / f"find-{name}.txt").write_text(what)


def _signature(what: str) -> str:
    places = re.findall(r'File "(.*?)", line (\d+)', what)
    last = what.strip().splitlines()[-1]
    return f"{places[-1:]} {re.sub(r'[0-9a-f]*[0-9][0-9a-f]*', '#', last)[:20]}"


def smallest(inputs: Iterable[Input]) -> list[Input]:
    """Inputs that reach all that these do, small ones first, within the corpus's bound."""
    fuzzer = Fuzzer(Random(0), is_watched=True)
    size = 0
    for one in sorted(inputs, key=lambda one: len(one[1])):
        if size + len(one[1]) <= CORPUS_BYTES_MAX and fuzzer.offer(one):
            size += len(one[1])
    return fuzzer.inputs


def keep(inputs: Iterable[Input]) -> None:
    """The corpus becomes these inputs."""
    CORPUS.mkdir(exist_ok=True)
    for path in CORPUS.glob("*.*"):
        path.unlink()
    for target, data in inputs:
        name = hashlib.sha256(data).hexdigest()[:10]
        (CORPUS / f"{name}.{target}").write_bytes(data)


def main() -> int:
    """Exit code 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    parser.add_argument("--compiled-only", action="store_true", help="under a sanitizer")
    parser.add_argument("--keep", action="store_true", help="write the corpus anew")
    parser.add_argument("inputs", nargs="*", type=Path, help="more binlog files to begin with")
    wanted = parser.parse_args()
    FOUND.mkdir(exist_ok=True)
    fuzzer = Fuzzer(Random(wanted.seed), is_watched=not wanted.compiled_only)
    # In the compiled form nothing tells an input that reached a new line: all are kept.
    for one in [*corpus(), *seeds(*wanted.inputs)]:
        if not fuzzer.offer(one) and wanted.compiled_only:
            fuzzer.inputs.append(one)
    begun = len(fuzzer.inputs)
    end = time.monotonic() + wanted.seconds
    while time.monotonic() < end:
        fuzzer.step()
    if wanted.keep:
        keep(smallest([*corpus(), *fuzzer.inputs]))
    print(
        json.dumps(
            {
                "seed": wanted.seed, "runs": fuzzer.runs, "inputs": len(fuzzer.inputs),
                "begun_with": begun, "features": len(fuzzer.seen), "finds": sorted(fuzzer.finds),
            }
        )
    )  # fmt: skip
    return 1 if fuzzer.finds else 0


if __name__ == "__main__":
    sys.exit(main())
