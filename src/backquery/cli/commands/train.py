"""``backquery train``: a new network, trained, tested and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.commands.prior import REVEALS
from backquery.cli.options import AsJson, Data, TestHalf
from backquery.cli.plan import make_plan, open_halves, run, test_half
from backquery.cli.terminal import count, draw_seed, print_json, say, show
from backquery.errors import OutputError
from backquery.model.activations import ACTIVATIONS
from backquery.training import KERNELS, LOSSES, RECIPES

ModelFile = Annotated[Path, Parameter(name=["-o", "--output"], help="The .safetensors file to write.")]
Hidden = Annotated[str, Parameter(help="Nodes of each hidden layer, such as 200 or 100,50.")]
Epochs = Annotated[
    int | None,
    Parameter(help=f"Rounds through the images; by default {RECIPES['book'].usual.epochs}, with recipe batch "
              f"{RECIPES['batch'].usual.epochs}.", validator=Number(gte=1)),
]  # fmt: skip
LearningRate = Annotated[float | None, Parameter(help="By default the recipe's own.", validator=Number(gt=0))]
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
        help=f"One name, or one for each layer (relu,softmax), of {', '.join(ACTIVATIONS)}. By default sigmoid, "
        "with recipes online and minibatch relu, and softmax for the answers."
    ),
]
LossName = Annotated[
    str | None, Parameter(choices=LOSSES, help="What is made small; by default the recipe's own.")
]
Biases = Annotated[
    bool | None, Parameter(help="Whether nodes have biases; by default not with recipe book, else yes.")
]
SeedNumber = Annotated[
    int | None, Parameter(help="The same seed gives the same network; drawn and noted by default.",
                          validator=Number(gte=0)),
]  # fmt: skip
KeepPrior = Annotated[
    bool | None,
    Parameter(
        help="Keep what the training images are like in the file (their mean and covariance, which are blurred "
        "pictures of them, and the usual answers), for faithful back queries without the data. By default yes "
        "for data sets known by name, which are public, and not for your own."
    ),
]
KernelName = Annotated[
    str, Parameter(choices=KERNELS, help="How single steps are computed; the result is the same.")
]
Rotate = Annotated[
    float,
    Parameter(
        help="Also train on copies of every image turned by so many degrees either way, as the book does with 10.",
        validator=Number(gte=0, lt=180),
    ),
]
Shift = Annotated[
    int,
    Parameter(help="Also train on copies moved by so many pixels up, down, left and right.",
              validator=Number(gte=0)),
]  # fmt: skip
CheckpointEvery = Annotated[
    float | None,
    Parameter(
        name="--checkpoint-every",
        help="Every so many epochs (0.1: ten times an epoch) keep what a killed training needs to go on, beside "
        "the output, under its name with .checkpoint at the end. It is removed once the model is written.",
        validator=Number(gt=0, lt=float("inf")),
    ),
]
Resume = Annotated[
    Path | None,
    Parameter(
        help="Go on from this checkpoint; give the same data and options as then. Only --seed may be left out."
    ),
]


def train(
    data: Data,
    /,
    *,
    output: ModelFile,
    hidden: Hidden = "200",
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    recipe: RecipeName = "book",
    activation: ActivationNames = None,
    loss: LossName = None,
    biases: Biases = None,
    seed: SeedNumber = None,
    dtype: Literal["float32", "float64"] = "float32",
    kernel: KernelName = "auto",
    test: TestHalf = None,
    keep_prior: KeepPrior = None,
    rotate: Rotate = 0.0,
    shift: Shift = 0,
    checkpoint_every: CheckpointEvery = None,
    resume: Resume = None,
    as_json: AsJson = False,
) -> None:
    """Train a network on a data set, test it, and save it.

    Where the data have no test half, 20 % of the images are held out by the seed and not trained on. For
    example: `backquery train mnist -o mine.safetensors`. A training with --checkpoint-every that was killed goes
    on by the same command and --resume mine.checkpoint, and ends in the same file, byte by byte.

    With --json: performance (share of right answers on the test half), seconds (of training alone), kernel
    (how single steps were computed), history (for each epoch: epoch, loss, train_accuracy, test_accuracy,
    seconds, learning_rate), model (the file), test_images, held_out (true or false), seed.
    """
    from backquery.datasets import catalogue
    from backquery.files import check_writable
    from backquery.io import check_model_path, save_model
    from backquery.training import Checkpoint

    check_writable(check_model_path(output))
    kept = output.with_suffix(".checkpoint")
    checkpoint = None if checkpoint_every is None else Checkpoint(_unused(kept, resume), checkpoint_every)
    plan = make_plan(
        hidden, activation, epochs=epochs, learning_rate=learning_rate, recipe=recipe, loss=loss, biases=biases,
        seed=_seed(seed, resume), dtype=dtype, kernel=kernel,
        statistics=data in catalogue() if keep_prior is None else keep_prior, rotate=rotate, shift=shift,
    )  # fmt: skip
    dataset, held_out = open_halves(data, test, plan)
    try:
        network, history = run(plan, dataset, checkpoint, resume)
    except KeyboardInterrupt:
        if checkpoint is not None and kept.exists():
            say(f"to go on, give the same command with --resume {kept}")
        raise
    save_model(network, output)
    if checkpoint is not None:
        kept.unlink(missing_ok=True)
    performance = network.about["performance"]
    if as_json:
        print_json(
            {
                "performance": performance,
                "seconds": history.seconds,
                "kernel": history.kernel,
                "history": history.as_json(),
                "model": str(output),
                "test_images": len(test_half(dataset)),
                "held_out": held_out,
                "seed": plan.seed,
            }
        )
        return
    tested = count(len(test_half(dataset)), "test image")
    show(
        f"{performance:.2%} of {tested} right after {history.seconds:.2f} s of training (kernel {history.kernel})"
    )
    if network.statistics is not None:
        say(REVEALS)
    say(f"wrote {output}")


def _seed(given: int | None, resume: Path | None) -> int:
    """The seed given, else the checkpoint's, else one drawn."""
    from backquery.training import read_settings

    kept = None if given is not None or resume is None else read_settings(resume).get("seed")
    return kept if isinstance(kept, int) else draw_seed() if given is None else given


def _unused(kept: Path, resume: Path | None) -> Path:
    """Where checkpoints go, unless one is there that would be lost."""
    if kept.exists() and (resume is None or not resume.exists() or not kept.samefile(resume)):
        raise OutputError(
            f"{kept} is there from an earlier training; go on from it with --resume {kept}, or remove it to begin "
            "anew"
        )
    return kept
