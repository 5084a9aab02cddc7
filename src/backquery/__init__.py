"""Train neural network classifiers, query them, and run them backwards.

The public names are listed here and loaded on first use, so that importing the package costs nothing and
has no side effects.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Layer": "model",
    "Network": "model",
    "Model": "model",
    "Scaling": "model",
    "Statistics": "model",
    "load_model": "io",
    "save_model": "io",
    "train": "training",
    "Online": "training",
    "MiniBatch": "training",
    "FullBatch": "training",
    "History": "training",
    "Checkpoint": "training",
    "TrainingRun": "training",
    "evaluate": "model",
    "back_query": "inversion",
    "BackQuery": "inversion",
    "fit_statistics": "inversion",
    "measure_evidence": "evidence",
    "damage": "experiments.damage",
    "from_torch": "io.torch",
    "network_from_torch": "io.torch_chain",
    "network_to_torch": "io.torch_chain",
    "network_from_sklearn": "io.sklearn",
    "network_to_sklearn": "io.sklearn",
    "BackQueryClassifier": "estimator",
    "network_from_keras": "io.keras",
    "network_to_keras": "io.keras",
    "network_from_onnx": "io.onnx",
    "network_to_onnx": "io.onnx",
    "export_model": "io",
    "write_report": "report",
    "BackqueryError": "errors",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'backquery' has no attribute {name!r}")
    return getattr(import_module(f"backquery.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
