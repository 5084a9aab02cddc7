"""The ground floor: what a model is, how its images lie and are scaled, and how labelled images are read by it."""

from backquery.model.activations import ACTIVATIONS, Activation, activation_named
from backquery.model.evaluation import Evaluation, evaluate
from backquery.model.examples import Data, Examples, LabelledImages
from backquery.model.layout import Layout
from backquery.model.network import Layer, Network
from backquery.model.protocol import Model
from backquery.model.scaling import Scaling
from backquery.model.statistics import Statistics

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Data",
    "Evaluation",
    "Examples",
    "LabelledImages",
    "Layer",
    "Layout",
    "Model",
    "Network",
    "Scaling",
    "Statistics",
    "activation_named",
    "evaluate",
]
