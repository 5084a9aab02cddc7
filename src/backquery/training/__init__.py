"""Training: recipes, the loop, the history."""

from backquery.model import Data, Examples, LabelledImages
from backquery.training.checkpoint import Checkpoint, read_settings
from backquery.training.history import EpochRecord, History, Moment
from backquery.training.loop import train
from backquery.training.online import KERNELS
from backquery.training.recipes import LOSSES, RECIPES, FullBatch, Loss, MiniBatch, Online, Recipe
from backquery.training.run import TrainingRun

__all__ = [
    "KERNELS", "LOSSES", "RECIPES", "Checkpoint", "Data", "EpochRecord", "Examples", "FullBatch", "History",
    "LabelledImages", "Loss", "MiniBatch", "Moment", "Online", "Recipe", "TrainingRun", "read_settings", "train",
]  # fmt: skip
