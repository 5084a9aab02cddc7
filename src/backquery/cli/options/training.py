"""What decides a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.options import decides
from backquery.cli.plan import make_plan
from backquery.cli.terminal import draw_seed
from backquery.model import ACTIVATIONS
from backquery.training import KERNELS, LOSSES, RECIPES

if TYPE_CHECKING:
    from backquery.training.plan import Plan

RecipeName = Annotated[
    str,
    Parameter(
        choices=tuple(RECIPES),
        help="book: one image at a time in file order, by the book's rule. online: the same shuffled, by the "
        "gradient, at a falling rate. minibatch: Adam. batch: the whole set at once, on standardised pixels.",
    ),
]
ActivationNames = Annotated[
    str | None,
    Parameter(
        help=f"One name, or one for each layer (relu,softmax), of {', '.join(ACTIVATIONS)}, or "
        "leaky-relu:0.2 for another slope. By default sigmoid, with recipes online and minibatch relu, and "
        "softmax for the answers."
    ),
]
LossName = Annotated[
    str | None, Parameter(choices=LOSSES, help="What is made small; by default the recipe's own.")
]
Biases = Annotated[
    bool | None, Parameter(help="Whether nodes have biases; by default not with recipe book, else yes.")
]
Dtype = Literal["float32", "float64"]


@Parameter(name="*")
@dataclass(frozen=True)
class TrainingOptions:
    """The options of one training, in the order of its help page."""

    hidden: Annotated[str, Parameter(help="Nodes of each hidden layer, such as 200 or 100,50.")] = "200"
    epochs: Annotated[
        int | None,
        Parameter(
            help=f"Rounds through the images; by default {RECIPES['book'].usual.epochs}, with recipe batch "
            f"{RECIPES['batch'].usual.epochs}.",
            validator=Number(gte=1),
        ),
    ] = None
    learning_rate: Annotated[
        float | None, Parameter(help="By default the recipe's own.", validator=Number(gt=0))
    ] = None
    recipe: RecipeName = "book"
    activation: ActivationNames = None
    loss: LossName = None
    biases: Biases = None
    seed: Annotated[
        int | None,
        decides("the first weights, the order and what is held out; drawn and noted by default"),
    ] = None
    dtype: Dtype = "float32"
    kernel: Annotated[
        str, Parameter(choices=KERNELS, help="How single steps are computed; the result is the same.")
    ] = "auto"

    def plan(self, kept_seed: int | None = None, **more: Any) -> Plan:
        """What is to be done, by the seed given, else the one kept, else one drawn; `more` goes to the plan."""
        seed = kept_seed if self.seed is None else self.seed
        return make_plan(**{**vars(self), "seed": draw_seed() if seed is None else seed, **more})


USUAL = TrainingOptions()
