"""The ground floor: what a model is, how its images lie and are scaled, and how labelled images are read by it."""

from backquery.model.activations import (
    ACTIVATIONS,
    IDENTITY,
    LEAK,
    LEAKY_RELU,
    RELU,
    SIGMOID,
    SOFTMAX,
    TANH,
    Activation,
    activation_named,
    leaky_relu,
    rounded_slope,
)
from backquery.model.aliases import Array, Labels, Pixels, Progress, Seed, Shape
from backquery.model.arguments import generator_of, need_model, real, reals, whole
from backquery.model.evaluation import Evaluation, evaluate
from backquery.model.examples import Data, Examples, LabelledImages
from backquery.model.facts import about_in_words, facts_in_words, plain_facts, plain_scaling, reveals
from backquery.model.layout import Layout, image_shape
from backquery.model.log_odds import answers_log_odds, own_log_odds
from backquery.model.meaning import GROUNDS, IN_COLOUR, INK_ON_PAPER, Ground, Meaning
from backquery.model.network import Layer, Network
from backquery.model.protocol import (
    Layered,
    LayerModel,
    Model,
    Signalling,
    ends_of,
    ground_of,
    ink_of,
    log_odds_and_products,
    meaning_of,
    picture_of,
    quick_of,
    shades_of,
    threaded,
    typical_of,
)
from backquery.model.reading import UNREAD, finite_answer, labels_read, name_read
from backquery.model.scaling import Scaling, as_inputs, checked_inputs, ordered_images, refuse_raw, scaled_images
from backquery.model.statistics import MIXTURE_PARTS, SPECTRUM_PARTS, Mixture, Spectrum, Statistics, rings_of

__all__ = [
    "ACTIVATIONS", "GROUNDS", "IDENTITY", "INK_ON_PAPER", "IN_COLOUR", "LEAK", "LEAKY_RELU", "MIXTURE_PARTS",
    "RELU", "SIGMOID", "SOFTMAX", "SPECTRUM_PARTS", "TANH", "UNREAD", "Activation", "Array", "Data", "Evaluation",
    "Examples", "Ground", "LabelledImages", "Labels", "Layer", "LayerModel", "Layered", "Layout", "Meaning",
    "Mixture", "Model", "Network", "Pixels", "Progress", "Scaling", "Seed", "Shape", "Signalling", "Spectrum",
    "Statistics", "about_in_words", "activation_named", "answers_log_odds", "as_inputs", "checked_inputs",
    "ends_of", "evaluate", "facts_in_words", "finite_answer", "generator_of", "ground_of", "image_shape", "ink_of",
    "labels_read", "leaky_relu", "log_odds_and_products", "meaning_of", "name_read", "need_model",
    "ordered_images", "own_log_odds", "picture_of", "plain_facts", "plain_scaling", "quick_of", "real", "reals",
    "refuse_raw", "reveals", "rings_of", "rounded_slope", "scaled_images", "shades_of", "threaded", "typical_of",
    "whole",
]  # fmt: skip
