"""End-to-end benchmarks: real servers, counted at the destination, order and completeness checked.

`make bench` runs all of it; `python -m tests.bench --help` says what can be chosen. Each figure
is of the command as users run it (`cdc run FILE --stage capture`), in a process of its own.
"""
