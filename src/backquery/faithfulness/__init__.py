"""Scores of back queries, never without their controls: round trip, judges, typicality, nearest real image."""

from backquery.faithfulness.comparison import Comparison, Row, compare_methods
from backquery.faithfulness.controls import control_images, control_networks
from backquery.faithfulness.fooling import fooling_circuit, fooling_module
from backquery.faithfulness.judges import (
    Judge,
    convolutional_judge,
    linear_judge,
    luck,
    model_judge,
    neighbour_judge,
)
from backquery.faithfulness.obedience import Obedience, obedience
from backquery.faithfulness.passage import Passage, RealSignals
from backquery.faithfulness.real import Nearness, RealImages
from backquery.faithfulness.recognition import Recognition, recognised_share
from backquery.faithfulness.references import References, train_references
from backquery.faithfulness.usual import Density, RealDensities, Usualness, typicality, usual_density

__all__ = [
    "Comparison", "Density", "Judge", "Nearness", "Obedience", "Passage", "RealDensities", "RealImages",
    "RealSignals", "Recognition", "References", "Row", "Usualness", "compare_methods", "control_images",
    "control_networks", "convolutional_judge", "fooling_circuit", "fooling_module", "linear_judge", "luck",
    "model_judge", "neighbour_judge", "obedience", "recognised_share", "train_references", "typicality",
    "usual_density",
]  # fmt: skip
