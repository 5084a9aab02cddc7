"""The command line, as the command ``backquery`` and as ``python -m backquery``."""

import signal
import sys


def run() -> int:
    """The program: its exit code."""
    usual = signal.getsignal(signal.SIGINT)
    # Until the command line can say that it was stopped, Ctrl-C ends this as it ends any program.
    if usual is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from backquery.cli import main

    signal.signal(signal.SIGINT, usual)
    return main()


if __name__ == "__main__":
    sys.exit(run())
