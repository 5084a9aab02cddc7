"""Which commands there are. Each lives in a module of its own, which is loaded when the command is given."""

from __future__ import annotations

from cyclopts import App

from backquery import __version__

DESCRIPTION = """\
Train a neural network, test it, query it, and ask it backwards: what do you see when you say 3?

DATA is the name of a data set (backquery data list) or a path: a CSV file with the label first, IDX files,
an .npz archive or a folder of pictures by class. MODEL is a .safetensors file, a folder with weight1.txt,
or the name of a bundled model: mnist.

Results are printed on standard output, messages on standard error; --json prints one JSON object instead.
The exit code is 0 when all went well, 2 for a command that cannot be understood, 1 for other errors.
"""

COMMANDS = {
    "demo": "Train, test and ask a network backwards on the spot, with pictures, in seconds.",
    "train": "Train a network and save it.",
    "test": "Put the test images to a network: performance, confusions.",
    "query": "Ask a network what it reads in pictures.",
    "scan": "Ask a network backwards: draw what it sees when it says each label.",
    "info": "Say what a model file holds.",
}
DATA_COMMANDS = {
    "list": "The data sets that are known by name.",
    "fetch": "Download a data set and keep it.",
    "inspect": "Count and measure the images and labels of a data set.",
}


def build_app() -> App:
    """The whole command line, with nothing loaded yet that a command needs."""
    app = App("backquery", help=DESCRIPTION, help_format="plaintext", version=__version__)
    app.help_flags, app.version_flags = ("--help", "-h"), ("--version",)
    for name, summary in COMMANDS.items():
        app.command(f"backquery.cli.{name}:{name}", name=name, help=summary)
    data = App("data", help="Data sets: which there are, fetching one, looking into one.")
    for name, summary in DATA_COMMANDS.items():
        data.command(f"backquery.cli.data:{name}_", name=name, help=summary)
    app.command(data)
    return app
