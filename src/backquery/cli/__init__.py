"""The command line: parse, call, print.

Results go to standard output, progress and messages to standard error. Errors are one line; the exit code is 0
when all went well, 2 for a command that cannot be understood, 1 for anything else, 130 after Ctrl-C; a command may
return another, such as the audit's 3.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from backquery import __version__
from backquery.cli.pages import COMMANDS, find_page
from backquery.errors import BackqueryError

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""The variables by which users say how many threads there may be."""

DONE, FAILED, USAGE, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141


class UsageError(BackqueryError):
    """The command line cannot be understood as it stands."""


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command line, by default the one this process was started with; returns the exit code."""
    arguments = sys.argv[1:] if tokens is None else list(tokens)
    _prepare_streams()
    try:
        code = _answer(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        return PIPE_CLOSED
    except OSError as error:
        _forget_output()
        return _complain(f"cannot use {error.filename or 'the output'}: {error.strerror or error}", FAILED)
    except KeyboardInterrupt:
        print("\nbackquery: stopped; no unfinished file was left behind", file=sys.stderr)
        return INTERRUPTED
    return code


def _answer(arguments: list[str]) -> int:
    page = find_page(arguments)
    if page is not None:
        print(page, end="")
        return DONE
    if arguments == ["--version"]:
        print(__version__)
        return DONE
    return _run(arguments)


def _run(arguments: list[str]) -> int:
    _leave_processors_alone()
    from cyclopts import CycloptsError

    from backquery.cli.app import build_app
    from backquery.cli.terminal import assumptions_said

    try:
        with assumptions_said():
            code = build_app()(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, UsageError) as error:
        return _complain(f"{error} Try: backquery {_command(arguments)}--help", USAGE)
    except BackqueryError as error:
        return _complain(error, FAILED)
    except MemoryError:
        return _complain("there is not enough memory for this", FAILED)
    return DONE if code is None else int(code)


def _leave_processors_alone() -> None:
    """Let BLAS and PyTorch use half of the processors, unless the user has said how many.

    They read this when they are loaded, so it is said here, before `model.threads` could say it. Processors are
    mostly the same core seen twice, where more threads gain nothing; and where another program keeps one of them
    busy, all the others wait for it in every product, spinning.
    """
    half = max(1, (os.cpu_count() or 1) // 2)
    if not any(name in os.environ for name in THREADS):
        os.environ.update(dict.fromkeys(THREADS, str(half)))


def _command(arguments: Sequence[str]) -> str:
    """The command that was meant, as far as it can be told, with a space after it."""
    known = [command for command in COMMANDS if tuple(arguments[: len(command)]) == command]
    return "".join(f"{word} " for word in max(known, key=len))


def _complain(error: object, code: int) -> int:
    from backquery.errors import printable

    print(printable(f"backquery: {' '.join(str(error).split())}"), file=sys.stderr)
    return code


def _prepare_streams() -> None:
    """A terminal that lacks a sign shows a question mark for it; a stream that was closed takes everything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 (open to the end)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _forget_output() -> None:
    """Whoever read the output has gone: nothing more may be written there, not even when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
