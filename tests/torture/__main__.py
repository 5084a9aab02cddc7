"""``python -m tests.torture [WHAT] [--count N] [--seed N]``: kills, or faults in writing, and a summary."""

from __future__ import annotations

import sys
from argparse import ArgumentParser

from tests.torture.children import again, interposer

LOADED = "--loaded"


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("what", choices=["kills", "faults"])
    parser.add_argument("--count", type=int, default=200, help="of kills, or of faults of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--swift", action="store_true", help="without what takes seconds")
    parser.add_argument(LOADED, action="store_true", help="with the interposer, which this command loads itself")
    given = parser.parse_args()
    if not given.loaded:
        with interposer() as library:
            return again(library, "tests.torture", *sys.argv[1:], LOADED)
    from tests.torture import faults, kills

    found = {"kills": kills.main, "faults": faults.main}[given.what](given.count, given.seed, given.swift)
    print(found)
    return 0 if found.harmless else 1


if __name__ == "__main__":
    sys.exit(main())
