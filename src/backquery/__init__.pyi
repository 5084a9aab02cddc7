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
from backquery.experiments.learned import train as train
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
)

__version__: str
__all__: list[str]
