"""``backquery info``: what a model is, where it comes from, and what can be asked of it."""

from __future__ import annotations

from backquery.cli.options import AsJson, Model
from backquery.cli.terminal import pairs, print_json, show

KINDS = {
    ".safetensors": "a model file of backquery",
    ".onnx": "an ONNX model",
    **dict.fromkeys((".keras", ".h5", ".hdf5"), "a Keras model"),
    ".skops": "a scikit-learn classifier, by skops",
    "a folder": "text files with thresholds",
}


def info(model: Model, /, *, as_json: AsJson = False) -> None:
    """Say what a model is: its layers, what it takes and answers, how it came to be, how it can be asked.

    With --json: kind (what the file is), input_shape, classes, scaling (null, or gain, offset, maximum),
    statistics (null, or rank and typical), methods (for each, null if it can be used, or why not), method (the
    one used by default), vectors (those that single steps are trained with by the compiled kernels, such as avx2;
    null where this installation has none and NumPy does the work); and for a chain of dense layers sizes (nodes
    of each layer, inputs first), activations, biases (true or false, for each layer), parameters, dtype and about
    (how it was trained, if known).
    """
    from backquery.cli.source import open_model
    from backquery.inversion import usable_methods, usual_method
    from backquery.model import about_in_words, facts_in_words, plain_facts
    from backquery.training.online import kernel_in_words, vectors_in_use

    opened = open_model(model)
    methods, usual = usable_methods(opened), usual_method(opened)
    if as_json:
        facts = {"kind": kind_of(model), **plain_facts(opened), "methods": methods, "method": usual}
        print_json({**facts, "vectors": vectors_in_use()})
        return
    told = [("model", kind_of(model)), *facts_in_words(opened).items(), *about_in_words(opened).items()]
    for name, reason in methods.items():
        can = "can be used" + (", and is by default" if name == usual else "")
        told.append((name, f"no: {reason}" if reason else can))
    told.append(("training", kernel_in_words()))
    show(pairs(told))


def kind_of(source: str) -> str:
    """What MODEL is, in words."""
    from pathlib import Path

    from backquery.io.formats import format_of
    from backquery.io.models import bundled

    if source in bundled():
        return "a model that comes with backquery"
    if not Path(source).exists():
        return "what your own function returned"
    kind = format_of(source)
    return KINDS[".safetensors" if kind is None else kind.suffix]
