"""Scores of back queries, never without their controls: round trip, judges, typicality, nearest real image."""

from backquery.faithfulness.comparison import Comparison, Row, compare_methods
from backquery.faithfulness.controls import control_images, control_networks
from backquery.faithfulness.judges import Judge, convolutional_judge, linear_judge, model_judge, neighbour_judge
from backquery.faithfulness.obedience import Obedience, obedience
from backquery.faithfulness.real import RealImages, typicality

__all__ = [
    "Comparison", "Judge", "Obedience", "RealImages", "Row", "compare_methods", "control_images",
    "control_networks", "convolutional_judge", "linear_judge", "model_judge", "neighbour_judge", "obedience",
    "typicality",
]  # fmt: skip
