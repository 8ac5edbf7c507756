"""Hostile bytes end in records or in one clear error, in both forms alike, within bounds."""

from __future__ import annotations

import resource
from random import Random

import pytest

from tests.forms_plugin import compiled, plain
from tests.fuzz.lines import Watch
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import CORPUS, corpus, seeds
from tests.fuzz.targets import TARGETS, Outcome, run

LINES_PER_BYTE_MAX, LINES_MIN = 600, 60_000
OUTPUT_PER_BYTE_MAX, OUTPUT_MIN = 1000, 1 << 16
MEMORY_BYTES_MAX = 128 << 20
CORPUS_BYTES_MAX = 1 << 20
MUTATIONS = 300

INPUTS = [*corpus(), *seeds()]


def in_both_forms(target: str, data: bytes) -> list[Outcome]:
    """The outcomes in the plain form; the compiled one, where it is, has the same."""
    watch = Watch(LINES_MIN + LINES_PER_BYTE_MAX * len(data))
    outcomes = watch.run(lambda: run(plain(), target, data))
    form = compiled()
    if form is not None:
        assert run(form, target, data) == outcomes
    for outcome in outcomes:
        assert outcome.size <= OUTPUT_MIN + OUTPUT_PER_BYTE_MAX * len(data)
    return outcomes


@pytest.mark.parametrize("target", TARGETS)
def test_every_input_ends_in_a_result_or_one_clear_error_within_bounds(target: str) -> None:
    """Another exception, other outcomes of the two forms, or work beyond all measure fail here."""
    inputs = [data for kind, data in INPUTS if kind == target]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    outcomes = [outcome for data in inputs for outcome in in_both_forms(target, data)]
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    assert after - before < MEMORY_BYTES_MAX
    errors = [bool(outcome.error) for outcome in outcomes]
    assert not all(errors)
    assert any(errors) is (target not in ("sql", "ddl"))  # text is never an error


@pytest.mark.parametrize("target", TARGETS)
def test_mutations_of_them_do_so_as_well(target: str) -> None:
    random = Random(20_261_121)  # always the same: a test is no lottery; `make fuzz` is
    inputs = [data for kind, data in INPUTS if kind == target]
    for _ in range(MUTATIONS):
        data, other = random.choices(inputs, k=2)
        in_both_forms(target, mutated(random, target, data, other))


def test_the_corpus_is_small_and_of_known_targets() -> None:
    assert {path.suffix[1:] for path in CORPUS.glob("*.*")} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.glob("*.*")) <= CORPUS_BYTES_MAX
