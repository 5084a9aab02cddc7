"""Which commands there are. Each lives in a module of its own, which is loaded when the command is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from cyclopts import App, CoercionError, Parameter, Token, convert

from backquery import __version__
from backquery.cli.pages import COMMANDS

DESCRIPTION = """\
Train a neural network, test it, query it, and ask it backwards: what do you see when you say 3?

DATA is the name of a data set (backquery data list) or a path: a CSV file with the label first, IDX files,
an .npz archive or a folder of pictures by class. MODEL is a file (.safetensors, .onnx, .keras, .skops), a
folder with weight1.txt, or the name of a bundled model: mnist. None of these can run anything. MODEL can also be
package.module:function: then your own module is imported from the current folder and run, and the function must
return a Network, a Model, a PyTorch or Keras model or a fitted scikit-learn estimator. With
package.module:function@weights.safetensors a PyTorch state dict is loaded into the module that it returns, or
given to it if it takes an argument.

Results are printed on standard output, messages on standard error; --json prints one JSON object instead.
The exit code is 0 when all went well, 2 for a command that cannot be understood, 1 for other errors, 3 where an
audit found a shortcut, 130 after Ctrl-C, and 141 where nobody reads the output any more.
"""

DATA_DESCRIPTION = "Data sets: which there are, fetching one, looking into one."


def build_app() -> App:
    """The whole command line, with nothing loaded yet that a command needs."""
    app = App(
        "backquery",
        help=DESCRIPTION,
        help_format="markdown",
        version=__version__,
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(converter=_without_rounding),
    )
    data = App("data", help=DATA_DESCRIPTION, sort_key=COMMANDS.index(("data",)))
    app.command(data)
    for place, words in enumerate(COMMANDS):
        match words:
            case ("data", name):
                data.command(f"backquery.cli.commands.data:{name}_", name=name, sort_key=place)
            case (name,) if name != "data":
                app.command(f"backquery.cli.commands.{name}:{name}", name=name, sort_key=place)
    return app


def _without_rounding(kind: Any, tokens: Sequence[Token]) -> Any:
    """What Cyclopts makes of the words, except that it would take 1.5 for the whole number 2."""
    for token in tokens:
        if int in (kind, *get_args(kind)) and "." in token.value:
            raise CoercionError(f"it takes a whole number; received {token.value}.", token=token)
    return convert(kind, tokens)
