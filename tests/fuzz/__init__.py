"""Hostile input: coverage-guided mutations of binlogs, packets and what stands in them.

`python -m tests.fuzz` finds inputs that reach new lines of the plain form and runs each in the
compiled one as well; `corpus/` keeps a small set of them, which the tests run."""
