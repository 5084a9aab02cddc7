"""Train neural network classifiers, query them, and run them backwards.

The public names and packages are listed here and loaded on first use, so that importing the package costs nothing
and has no side effects: after ``import backquery as bq``, `bq.back_query` and `bq.plots.scan_grid` are there. Type
checkers and editors, which cannot follow that, read ``__init__.pyi``.
"""

import sys
from importlib import import_module
from typing import Any

from backquery.deprecation import calling, renamed

__version__ = "0.1.0"

_HOMES = {
    "model": ("Layer", "Meaning", "Model", "Network", "Scaling", "Statistics", "evaluate"),
    "io": ("export_model", "load_model", "save_model"),
    "io.keras": ("from_keras", "network_from_keras", "network_to_keras"),
    "io.onnx": ("from_onnx", "network_from_onnx", "network_to_onnx"),
    "io.sklearn": ("network_from_sklearn", "network_to_sklearn"),
    "io.torch": ("from_torch",),
    "io.torch_chain": ("network_from_torch", "network_to_torch"),
    "training": ("Checkpoint", "FullBatch", "History", "MiniBatch", "Online", "TrainingRun"),
    "proofs": ("Certificates", "certify"),
    "inversion": ("BackQuery", "back_query", "fit_statistics"),
    "faithfulness": ("compare_methods",),
    "evidence": ("image_evidence", "measure_evidence"),
    "audit": ("find_shortcuts",),
    "experiments.damage": ("measure_damage",),
    "experiments.learned": ("train",),
    "experiments.timeline": ("watch_training",),
    "estimator": ("BackQueryClassifier",),
    "report": ("write_report",),
    "errors": ("AssumptionWarning", "BackqueryError"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

_PACKAGES = (
    "datasets",
    "experiments",
    "lessons",
    "plots",
    "studio",
    *(home for home in _HOMES if "." not in home),
)

__all__ = ["__version__", *_HOME_OF, *_PACKAGES]

_COMMANDS = {
    "compare": "compare_methods",
    "query": "Network.query",
    "scan": "back_query",
    "test": "evaluate",
    "timeline": "watch_training",
}
"""What does in Python what a command does, where no package bears the command's name."""

_PACKAGES_OF_COMMANDS = {"audit": "find_shortcuts", "evidence": "measure_evidence", "report": "write_report"}

_old_name = renamed(__name__, {"damage": "measure_damage"})


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"backquery.{name}")
    if name in _HOME_OF:
        return getattr(import_module(f"backquery.{_HOME_OF[name]}"), name)
    if name in _COMMANDS:
        raise AttributeError(f"module 'backquery' has no attribute {name!r}: in Python it is {_COMMANDS[name]}")
    return _old_name(name)


def __dir__() -> list[str]:
    return sorted(__all__)


sys.modules[__name__].__class__ = calling(__name__, _PACKAGES_OF_COMMANDS)
