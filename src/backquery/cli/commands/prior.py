"""``backquery prior``: let a finished network remember what images are like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from backquery.cli.options import AsJson, Data, Model, TestHalf, written
from backquery.cli.options.reading import AS_FOUND, ReadingOptions, Scale
from backquery.cli.terminal import count, give, say

ModelFile = Annotated[Path, written("The .safetensors file to write; it may be the same file.")]


def prior(
    model: Model,
    data: Data,
    /,
    *,
    output: ModelFile,
    test: TestHalf = None,
    reading: ReadingOptions = AS_FOUND,
    scale: Scale = None,
    as_json: AsJson = False,
) -> None:
    """Fit the prior of a finished network to images like those it learned from, and keep it in the model file.

    The prior is one mean and one covariance for all images (for things that stand anywhere, also a mixture of
    several), and the answers that the network usually gives to each label. With it, faithful back queries need no
    data, look like the images, and ask for typical answers. It says something about the images: do not share the
    file if they are private. For example: `backquery prior mine.safetensors my_digits/ -o mine.safetensors`

    With --json: model (the file written), images, rank, variance (the share that the kept directions explain),
    components (of the mixture; 1 where one mean and covariance say as much).
    """
    from dataclasses import replace

    from backquery.cli.source import load_for_data, need_network
    from backquery.files import check_writable
    from backquery.inversion import fit_statistics
    from backquery.io import check_model_path, save_model
    from backquery.model import reveals

    check_writable(check_model_path(output))
    matching, dataset = load_for_data(model, data, test, reading, scale)
    network = need_network(matching, "a prior kept in a model file")
    statistics = fit_statistics(network, dataset.train)
    save_model(replace(network, statistics=statistics), output)
    images, rank = len(dataset.train), statistics.factor.shape[1]
    varied = network.scale(dataset.train.images[:5000]).astype(float).var(axis=0).sum()
    components = 1 if statistics.mixture is None else len(statistics.mixture)
    mixture = "" if components == 1 else f", and a mixture of {components} components"
    variance = min(1.0, float((statistics.factor.astype(float) ** 2).sum() / varied)) if varied else 1.0
    say(reveals(statistics))
    give(
        as_json,
        {"model": output, "images": images, "rank": rank, "variance": variance, "components": components},
        f"a prior of {rank} directions from {count(images, 'image')}, {variance:.0%} of their variance{mixture}",
        wrote=[output],
    )
