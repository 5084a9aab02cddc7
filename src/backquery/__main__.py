"""``python -m backquery`` is ``backquery``."""

import sys

from backquery.cli import main

if __name__ == "__main__":
    sys.exit(main())
