"""Run the benchmarks: ``python -m benchmarks [GROUP ...]``. Status 1 when a floor is missed."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import sys
import time

from benchmarks import results
from benchmarks.goals import GROUPS, goals_of
from benchmarks.results import Outcome, Row
from benchmarks.running import WorkloadError


def main() -> int:
    """Measure, print, write down."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    groups = parser.parse_args().groups or GROUPS
    for group in groups:
        goals_of(group)
    rows: list[Row] = []
    broken: list[str] = []
    for group in groups:
        began, used = time.monotonic(), time.process_time()
        print(f"{group} ...", flush=True)
        try:
            found = asyncio.run(measure(group))
        except WorkloadError as failure:
            print(f"{group} was not measured: {failure}\n", flush=True)
            broken.append(group)
            continue
        rows += found.rows
        results.write(found.rows)
        print(results.seen_table(found.seen))
        print(results.table(found.rows))
        took, cpu = time.monotonic() - began, time.process_time() - used
        print(f"{group}: {took:.0f} s, of which this process used {cpu:.1f} s of CPU\n", flush=True)
    if len(groups) > 1:
        print(results.table(rows))
    failed = results.missed(rows)
    for each in failed:
        print(f"missed: {each.id} is {results.number(each.value)}, floor {each.floor:g}")
    for group in broken:
        print(f"not measured: {group}")
    return 1 if failed or broken else 0


async def measure(group: str) -> Outcome:
    """Return what one group finds: its module is named after it."""
    found = importlib.import_module(f"benchmarks.{group}").run()
    outcome: Outcome = await found if inspect.isawaitable(found) else found
    return outcome


if __name__ == "__main__":
    sys.exit(main())
