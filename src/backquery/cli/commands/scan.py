"""``backquery scan``: the network asked backwards, label by label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from backquery.cli import UsageError
from backquery.cli.options import AsJson, Labels, Model, Picture, ShowCode, arrays_of, decides
from backquery.cli.options.inversion import MethodOrUsual, Prior
from backquery.cli.options.layers import THE_ANSWERS, LayerOptions
from backquery.cli.options.limits import NO_LIMITS, LimitOptions
from backquery.cli.options.reading import Scale
from backquery.cli.terminal import Drawing, check_outputs, give, quieten_matplotlib, table
from backquery.files import save_arrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backquery.inversion import BackQuery
    from backquery.proofs import Certificates

Confidence = Annotated[
    float | None,
    Parameter(
        help="The answer to ask for, such as 0.9; by default what the model usually answers to images that it "
        "reads as the label (gauss-newton, with statistics), else 0.99."
    ),
]
Near = Annotated[
    Path | None,
    Parameter(
        help="A picture to begin with: find the smallest change that makes the network read each label. The "
        "change is drawn apart: dark is ink added, light is ink taken away."
    ),
]
Many = Annotated[
    int | None,
    Parameter(
        help="Draw so many images for each label, from what images are like given the answer, beside the one "
        "that is likeliest (gauss-newton)."
    ),
]
Around = Annotated[
    list[Path] | None,
    Parameter(
        help="Pictures, one or several, with --many: each image is then a change of one of them, chosen blindly.",
        consume_multiple=True,
    ),
]
SeedNumber = Annotated[int, decides("where ascent starts and what --many draws")]
Arrays = Annotated[Path | None, arrays_of("the images (in input scale) and labels (positions) as arrays")]


def scan(
    model: Model,
    /,
    *,
    output: Picture,
    label: Labels = None,
    method: MethodOrUsual = None,
    prior: Prior = None,
    confidence: Confidence = None,
    near: Near = None,
    many: Many = None,
    around: Around = None,
    seed: SeedNumber = 0,
    arrays: Arrays = None,
    scale: Scale = None,
    limits: LimitOptions = NO_LIMITS,
    inside: LayerOptions = THE_ANSWERS,
    show_code: ShowCode = False,
    as_json: AsJson = False,
) -> None:
    """Ask a network backwards, and draw what it sees when it says each label.

    Under each image stands what the network reads in it and how surely; one that it does not read as the
    label asked for has a dashed frame and a cross. For example: `backquery scan mnist -o scans.png`, or, to turn
    your 4 into a 9, `backquery scan mnist --near my-four.png --label 9 -o nine.png`

    One answer has many images: `backquery scan mnist --many 12 -o many.png` draws twelve for each label beside
    the likeliest, and at the end of the row how freely each pixel varies: what is fixed, and what is free.

    Instead of one answer there may be limits, within which the likeliest image is found: `backquery scan mnist
    --at-least 0.8 --others-at-most 0.1 -o sure.png`. With --most-sure it is the surest image that is no farther
    from the usual than real ones are, with --emptiest the one with least ink.

    One layer can be asked instead: what does a channel or a node look for, and what has the layer kept of a
    picture? `backquery scan cnn.onnx --layer conv1 --channel 0 1 2 -o channels.png`, or `backquery scan mnist
    --layer 1 --kept-of my-three.png -o kept.png`. A name that there is not is answered with those that there are.

    With --json: method, question (what was asked for), prior (or null) and scans, a list of label, read (what the
    network reads in the image), answer (how surely), error (the largest difference between the answers and those
    asked for), logit_error (the same in logits: of sigmoids the log-odds, of a softmax with mean zero), converged
    (whether the image is read as asked and the method reached its goal), outcome, advice (in words), steps, with
    limits also active (those that hold the image back, in words; errors are then what it lacks of them), proved
    (read: whether what is read is certain in spite of rounding; as_asked: whether the logits asked for are met
    within 1e-3; grey_levels: every image within so many of it is read alike; inputs: the same in input scale;
    unknown: why nothing is proved); seed; output and arrays (paths, or null). With --many the scans are the draws,
    each with draw (its number), and there are many, likeliest (scans of the likeliest images) and apart (by label,
    how far apart its draws are: the mean Euclidean distance in input scale). Of a layer also layer and place, and
    of each scan its channel or node, and signal (what was asked of it). With --kept-of: layer, shape (of its
    signals), prior, pictures and, for each of them, constraint (hard or least squares), error (how far the signals
    are off, in parts of their length), within (whether no more than the tolerance), original_answers and answers
    (to the picture, and to what was kept), evaluated (the images that were run); output and arrays. With
    --show-code also code.
    """
    from backquery.cli.layers import scan_layer, show_kept
    from backquery.cli.noted import about, noted_pictures
    from backquery.cli.progress import bar_for
    from backquery.cli.source import load_for_images
    from backquery.inversion import back_query
    from backquery.plots import change_sheet, many_sheet, save_sheet, scan_sheet
    from backquery.proofs import certify

    inside.check_alone(label=label, confidence=confidence, near=near, many=many, around=around)
    limits.check_alone(confidence=confidence, layer=inside.layer, many=many)
    _check_many(many, around, near)
    check_outputs(output, arrays)
    network = load_for_images(model, scale)
    notes = about(model, network)
    code = notes if show_code else None
    if inside.kept_of:
        show_kept(notes, network, inside, prior, output, arrays, as_json, code)
        return
    if inside.layer is not None:
        scan_layer(notes, network, inside, method, prior, seed, output, arrays, as_json, code)
        return
    labels = list(label or network.classes)
    start = None if near is None else noted_pictures(notes, network, [near], "near")
    begun = noted_pictures(notes, network, around, "around") if around else None
    asked = limits.asked(notes, network, labels) if limits.told else labels
    with bar_for(network) as progress:
        result = notes(
            "scans", back_query, network, asked,
            method=method, prior=prior, confidence=confidence, near=start, many=many, around=begun, rng=seed,
            progress=progress,
        )  # fmt: skip
    quieten_matplotlib()
    sheet_of = many_sheet if many else scan_sheet if near is None else change_sheet
    sheet = notes("sheet", sheet_of, result, network)
    notes("", save_sheet, sheet, output)
    if arrays is not None:
        save_arrays(arrays, images=result.images, labels=result.labels)
    found, certificates = result.as_json(network.classes), certify(network, result)
    for position, one in enumerate(found["scans"]):
        one["proved"] = certificates.plain(position)
    give(
        as_json,
        {**found, **_told_of_draws(result, network.classes), "seed": seed, "output": output, "arrays": arrays},
        _table_of_draws(result, network.classes, certificates)
        if many
        else _table(found["scans"], result.read_as_asked.tolist(), certificates),
        "",
        f"{int(result.read_as_asked.sum())} of {len(result)} read as asked, by {result.method}",
        certificates.told_of_all(network.classes),
        notes=[f"{', '.join(of)}: {advice}" for advice, of in _advice(found["scans"]).items()],
        wrote=[output, arrays],
        code=code,
    )


def _check_many(many: int | None, around: list[Path] | None, near: Path | None) -> None:
    if around and many is None:
        raise UsageError("--around takes --many, the number of images for each label.")
    if many is not None and near is not None:
        raise UsageError("--near finds the one smallest change of a picture; many images go with --around.")


def _told_of_draws(result: BackQuery, classes: Sequence[str]) -> dict[str, Any]:
    """What --json says of draws beside each of them."""
    if result.likeliest is None:
        return {}
    labels = [classes[label] for label in result.likeliest.labels]
    apart = [None if distance != distance else float(distance) for distance in result.apart]
    told = {"many": result.many, "apart": dict(zip(labels, apart, strict=True))}
    return {**told, "likeliest": result.likeliest.as_json(classes)["scans"]}


def _table_of_draws(result: BackQuery, classes: Sequence[str], certificates: Certificates) -> Drawing:
    """The draws of each label in a row, with the least that is proved; bold where one is not read as asked."""
    import numpy as np

    assert result.likeliest is not None
    many = result.many or 1
    counts = [each.reshape(-1, many).sum(axis=1) for each in (result.read_as_asked, result.converged)]
    least = certificates.grey_levels.reshape(-1, many).argmin(axis=1) + many * np.arange(len(result.likeliest))
    each = list(zip(result.likeliest.labels, *counts, result.apart, least, strict=True))
    rows = [
        (classes[label], f"{read} of {many}", f"{met} of {many}", _told(apart, ".2f"), certificates.brief(row))
        for label, read, met, apart, row in each
    ]
    bold = [read < many for _, read, *_ in each]
    return table(("<asked", ">read as asked", ">converged", ">apart", ">proved"), rows, bold=bold)


def _table(scans: list[dict[str, Any]], as_asked: list[bool], certificates: Certificates) -> Drawing:
    """Each scan in a row; those that are not read as asked are bold."""
    limited = any("active" in one for one in scans)
    rows = [
        (
            one["label"],
            (one["read"] or "unread") + mark,
            _told(one["answer"], ".3f"),
            _told(one["error"], ".2g"),
            certificates.brief(position),
            one["outcome"],
            *([", ".join(one["active"]) or "-"] if limited else []),
        )
        for position, (one, mark) in enumerate(
            zip(scans, ("" if good else " ✗" for good in as_asked), strict=True)
        )
    ]
    return table(
        ("<asked", "<reads", ">surely", "<error", ">proved", "<outcome", *(["<held by"] if limited else [])),
        rows,
        bold=[not good for good in as_asked],
    )


def _told(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)


def _advice(scans: list[dict[str, Any]]) -> dict[str, list[str]]:
    """For each piece of advice, the labels that it is about."""
    advice: dict[str, list[str]] = {}
    for one in scans:
        if one["advice"]:
            advice.setdefault(one["advice"], []).append(one["label"])
    return advice
