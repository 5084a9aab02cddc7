"""Train neural network classifiers, query them, and run them backwards.

The public names and packages are listed here and loaded on first use, so that importing the package costs nothing
and has no side effects: after ``import backquery as bq``, `bq.back_query` and `bq.plots.scan_grid` are there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from backquery.deprecation import renamed

if TYPE_CHECKING:  # for type checkers and editors, which cannot follow what is loaded on first use
    from backquery import (
        audit as audit,
        datasets as datasets,
        errors as errors,
        estimator as estimator,
        evidence as evidence,
        experiments as experiments,
        faithfulness as faithfulness,
        inversion as inversion,
        io as io,
        lessons as lessons,
        model as model,
        plots as plots,
        proofs as proofs,
        report as report,
        studio as studio,
        training as training,
    )
    from backquery.audit import find_shortcuts as find_shortcuts
    from backquery.errors import AssumptionWarning as AssumptionWarning, BackqueryError as BackqueryError
    from backquery.estimator import BackQueryClassifier as BackQueryClassifier
    from backquery.evidence import image_evidence as image_evidence, measure_evidence as measure_evidence
    from backquery.experiments.damage import measure_damage as measure_damage
    from backquery.experiments.timeline import watch_training as watch_training
    from backquery.faithfulness import compare_methods as compare_methods
    from backquery.inversion import (
        BackQuery as BackQuery,
        back_query as back_query,
        fit_statistics as fit_statistics,
    )
    from backquery.io import export_model as export_model, load_model as load_model, save_model as save_model
    from backquery.io.keras import (
        from_keras as from_keras,
        network_from_keras as network_from_keras,
        network_to_keras as network_to_keras,
    )
    from backquery.io.onnx import (
        from_onnx as from_onnx,
        network_from_onnx as network_from_onnx,
        network_to_onnx as network_to_onnx,
    )
    from backquery.io.sklearn import (
        network_from_sklearn as network_from_sklearn,
        network_to_sklearn as network_to_sklearn,
    )
    from backquery.io.torch import from_torch as from_torch
    from backquery.io.torch_chain import (
        network_from_torch as network_from_torch,
        network_to_torch as network_to_torch,
    )
    from backquery.model import (
        Layer as Layer,
        Meaning as Meaning,
        Model as Model,
        Network as Network,
        Scaling as Scaling,
        Statistics as Statistics,
        evaluate as evaluate,
    )
    from backquery.proofs import Certificates as Certificates, certify as certify
    from backquery.report import write_report as write_report
    from backquery.training import (
        Checkpoint as Checkpoint,
        FullBatch as FullBatch,
        History as History,
        MiniBatch as MiniBatch,
        Online as Online,
        TrainingRun as TrainingRun,
        train as train,
    )

__version__ = "0.1.0"

_HOMES = {
    "model": ("Layer", "Meaning", "Model", "Network", "Scaling", "Statistics", "evaluate"),
    "io": ("export_model", "load_model", "save_model"),
    "io.keras": ("from_keras", "network_from_keras", "network_to_keras"),
    "io.onnx": ("from_onnx", "network_from_onnx", "network_to_onnx"),
    "io.sklearn": ("network_from_sklearn", "network_to_sklearn"),
    "io.torch": ("from_torch",),
    "io.torch_chain": ("network_from_torch", "network_to_torch"),
    "training": ("Checkpoint", "FullBatch", "History", "MiniBatch", "Online", "TrainingRun", "train"),
    "proofs": ("Certificates", "certify"),
    "inversion": ("BackQuery", "back_query", "fit_statistics"),
    "faithfulness": ("compare_methods",),
    "evidence": ("image_evidence", "measure_evidence"),
    "audit": ("find_shortcuts",),
    "experiments.damage": ("measure_damage",),
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

_old_name = renamed(__name__, {"damage": "measure_damage"})


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"backquery.{name}")
    if name in _HOME_OF:
        return getattr(import_module(f"backquery.{_HOME_OF[name]}"), name)
    return _old_name(name)


def __dir__() -> list[str]:
    return sorted(__all__)
