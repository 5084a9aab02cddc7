"""``backquery train``: a new network, trained, tested and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from backquery.cli.options import AsJson, Data, TestHalf, written
from backquery.cli.options.reading import AS_FOUND, ReadingOptions
from backquery.cli.options.training import USUAL, TrainingOptions
from backquery.cli.plan import open_halves, run
from backquery.cli.terminal import count, give, say
from backquery.errors import OutputError

ModelFile = Annotated[Path, written("The .safetensors file to write.")]
KeepPrior = Annotated[
    bool | None,
    Parameter(
        help="Keep what the training images are like in the file (their mean and covariance, which are blurred "
        "pictures of them, and the usual answers), for faithful back queries without the data. By default yes "
        "for data sets known by name, which are public, and not for your own."
    ),
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
    options: TrainingOptions = USUAL,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
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
    from backquery.model import reveals
    from backquery.training import Checkpoint

    check_writable(check_model_path(output))
    kept = output.with_suffix(".checkpoint")
    checkpoint = None if checkpoint_every is None else Checkpoint(_unused(kept, resume), checkpoint_every)
    statistics = data in catalogue() if keep_prior is None else keep_prior
    plan = options.plan(_kept_seed(resume), statistics=statistics, rotate=rotate, shift=shift)
    dataset, held_out = open_halves(data, test, plan, reading)
    try:
        network, history = run(plan, dataset, checkpoint, resume)
    except KeyboardInterrupt:
        if checkpoint is not None and kept.exists():
            say(f"to go on, give the same command with --resume {kept}")
        raise
    save_model(network, output)
    if checkpoint is not None:
        kept.unlink(missing_ok=True)
    performance, tested = network.about["performance"], len(dataset.to_test_on)
    give(
        as_json,
        {
            "performance": performance,
            "seconds": history.seconds,
            "kernel": history.kernel,
            "history": history.as_json(),
            "model": output,
            "test_images": tested,
            "held_out": held_out,
            "seed": plan.seed,
        },
        f"{performance:.2%} of {count(tested, 'test image')} right after {history.seconds:.2f} s of training "
        f"(kernel {history.kernel})",
        notes=[] if network.statistics is None else [reveals(network.statistics)],
        wrote=[output],
    )


def _kept_seed(resume: Path | None) -> int | None:
    """The seed of the training that wrote the checkpoint."""
    from backquery.training import read_settings

    seed = None if resume is None else read_settings(resume).get("seed")
    return seed if isinstance(seed, int) else None


def _unused(kept: Path, resume: Path | None) -> Path:
    """Where checkpoints go, unless one is there that would be lost."""
    if kept.exists() and (resume is None or not resume.exists() or not kept.samefile(resume)):
        raise OutputError(
            f"{kept} is there from an earlier training; go on from it with --resume {kept}, or remove it to begin "
            "anew"
        )
    return kept
