"""``python -m tests.torture kills|faults|fuzz``: kills, faults in writing, damaged input; a summary of it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

from tests.torture.children import again, interposer

LOADED = "--loaded"


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("what", choices=["kills", "faults", "fuzz"])
    parser.add_argument("kinds", nargs="*", help="of input, by default all")
    parser.add_argument("--count", type=int, default=200, help="of kills, or of faults of each kind in each work")
    parser.add_argument("--seconds", type=int, default=5, help="for each kind of input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--swift", action="store_true", help="without what takes seconds to write")
    parser.add_argument("--found", type=Path, default=Path("found"), help="the folder for input that did wrong")
    parser.add_argument(LOADED, action="store_true", help="with the interposer, which this command loads itself")
    given = parser.parse_args()
    found: object
    if given.what == "fuzz":
        from tests.torture import fuzz

        found = fuzz.main(given.seconds, given.seed, given.kinds, given.found.absolute())
    elif not given.loaded:
        with interposer() as library:
            return again(library, "tests.torture", *sys.argv[1:], LOADED)
    else:
        from tests.torture import faults, kills

        act = {"kills": kills.main, "faults": faults.main}[given.what]
        found = act(given.count, given.seed, given.swift)
    print(found)
    return 0 if found.harmless else 1


if __name__ == "__main__":
    sys.exit(main())
