"""One HTML file in which the studio's page runs: its engine is a worker and WebAssembly in the file itself.

The file holds, as text: the page's markup, styles and words; its script and the worker's, each bundled from
modules (`bundle`); and one frame of the protocol, deflated and in base64, with the engine, the network's own model
file, and images to learn from where these were asked for. A policy in the file names the digests of the script and
of the styles and allows no request to anywhere.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass, replace
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any
from zlib import compress, crc32

import numpy as np

from backquery.datasets import Dataset
from backquery.errors import ModelError
from backquery.inversion import Prior, data_prior, fit_statistics, kept_prior
from backquery.inversion.named_priors import prior_for
from backquery.inversion.problem import box
from backquery.inversion.starts import draws_of
from backquery.io import native
from backquery.model import SOFTMAX, Layout, Model, Network, Scaling, Statistics, ground_of, meaning_of
from backquery.studio.alone.bundle import bundled
from backquery.studio.describe import digest
from backquery.studio.files import page_parts
from backquery.studio.protocol import Answer, Request, encode
from backquery.training.plan import MADE_BY

HERE = Path(__file__).parent
ENGINE = HERE / "engine.wasm"
MODULES = HERE / "engine"

MOST_LABELS = 64
"""Outputs of a softmax that can all be asked for at once."""

INSTEAD = "open it with `backquery studio` instead, which asks any model"

POLICY = (
    "default-src 'none'",
    "script-src {scripts} 'wasm-unsafe-eval'",
    "worker-src blob:",
    "style-src {styles}",
    "img-src data: blob:",
    "base-uri 'none'",
    "form-action 'none'",
)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="{made_by}">
<title>{title}</title>
<link rel="icon" href="data:image/svg+xml;base64,{icon}">
<style>{styles}</style>
</head>
<body>
<p id="silent">This page needs JavaScript, WebAssembly and a browser of 2023 or later. If yours has them, the
file is damaged: fetch it again.<br><span lang="ru">Странице нужны JavaScript, WebAssembly и браузер не старше
2023 года. Если они есть, файл повреждён: скачайте его снова.</span><br><span lang="zh">此页面需要
JavaScript、WebAssembly 和 2023 年以后的浏览器。若均已具备，则文件已损坏，请重新获取。</span></p>
{markup}
<script type="application/json" id="words">{words}</script>
<script type="text/plain" id="engine">{worker}</script>
<script type="text/plain" id="content" data-check="{check}">
{content}
</script>
<script>{script}</script>
</body>
</html>
"""


@dataclass(frozen=True, eq=False)
class Sample:
    """Images that travel in a page, to learn from: the first `training` of each half of a data set's."""

    dataset: Dataset
    training: int
    test: int

    @classmethod
    def of(cls, dataset: Dataset, training: int = 2000, test: int = 500) -> Sample:
        """At most so many images of each half."""
        held_out = 0 if dataset.test is None else len(dataset.test)
        return cls(dataset, min(training, len(dataset.train)), min(test, held_out))

    def __len__(self) -> int:
        return self.training + self.test


def page_of(name: str, model: Model, sample: Sample | None = None) -> str:
    """The HTML of a page that asks `model`, and learns from a `sample`; `ModelError` for what it cannot carry."""
    network = _carried(model)
    fields, arrays = _content(name, network)
    if sample is not None:
        told, images = _sampled(sample)
        fields, arrays = {**fields, "sample": told}, {**arrays, **images}
    content = encode(Request(0, "page", "page"), Answer(fields, arrays))
    return _written(name, content)


def _carried(model: Model) -> Network:
    """The network as the page's engine can ask it, with a scaling; else `ModelError` says why not."""
    if not isinstance(model, Network):
        raise ModelError(
            "a page of one file carries chains of dense layers with the activations that train here, and this "
            f"{type(model).__name__} is none: {INSTEAD}"
        )
    if unknown := {layer.activation.name for layer in model.layers if layer.activation.code is None}:
        raise ModelError(f"a page of one file does not know {', '.join(unknown)}: {INSTEAD}")
    channels, statistics = Layout.of(model.input_shape).channels, model.statistics
    if channels > 1:
        raise ModelError(f"a page of one file draws in one shade, and this network sees {channels}: {INSTEAD}")
    if model.output_activation is SOFTMAX and model.outputs > MOST_LABELS:
        raise ModelError(
            f"a page of one file asks for at most {MOST_LABELS} labels, and this network has {model.outputs}: "
            f"{INSTEAD}"
        )
    if statistics is not None and not isinstance(kept_prior(statistics), Prior):
        raise ModelError(
            "a page of one file knows one mean and covariance, and this network keeps a mixture of several; fit "
            f"one (fit_statistics(network, data, components=1)), or {INSTEAD}"
        )
    return replace(model, scaling=model.scaling or Scaling.book())


def _content(name: str, network: Network) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the engine is told of the network, and its bytes."""
    keeps = network.statistics is not None
    facts = {
        "name": name,
        "digest": digest(network),
        "performance": network.about.get("performance"),
        "black": ground_of(network) == "none",
        "centre": meaning_of(network).to_centre,
        "statistics": keeps,
    }
    kept = network if keeps else replace(network, statistics=_usual_statistics(network))
    assert kept.statistics is not None
    prior = data_prior(kept.statistics)
    files = {"engine": ENGINE.read_bytes(), "model": native.to_bytes(kept)}
    # Those that `inversion.starts` draws: the engine's own would lead a search that was in vain elsewhere.
    draws = prior.draw(draws_of(prior), np.random.default_rng(0))[: draws_of(prior) // 2]
    arrays = {name: np.frombuffer(content, np.uint8) for name, content in files.items()}
    return {"facts": facts}, {**arrays, "draws": draws.reshape(-1)}


def _usual_statistics(network: Network) -> Statistics:
    """The prior that is taken where a network keeps no statistics, kept as if it did: the engine makes none."""
    prior = prior_for(network, None, *box(network, None))
    assert isinstance(prior, Prior)  # of a grey image, and of a row of numbers
    return Statistics(prior.mean, prior.factor, prior.diagonal)


def _sampled(sample: Sample) -> tuple[dict[str, Any], dict[str, Any]]:
    """The images that are put into the file, what is said of them, and the prior of those to learn from."""
    data, count = sample.dataset, slice(sample.training)
    layout = Layout.of(data.input_shape)
    if layout.channels > 1 or data.train.images.dtype != np.uint8:
        raise ModelError("a page of one file learns from images in one shade, of whole numbers from 0 to 255")
    halves = [data.train.select(count), *([data.test.select(slice(sample.test))] if data.test is not None else [])]
    network = Network.create(
        [data.inputs, 1, len(data.classes)],
        rng=1,
        scaling=Scaling.book(data.maximum),
        input_shape=data.input_shape,
    )
    seen = fit_statistics(network, halves[0], components=1)
    told = {
        "name": data.name,
        "classes": list(data.classes),
        "shape": list(layout.picture),
        "maximum": float(data.maximum),
        "meaning": None,
        "training": sample.training,
        "black": data.meaning.ground == "none",
        "centre": data.meaning.to_centre,
    }
    arrays = {
        "pixels": np.concatenate([half.images.reshape(len(half), -1) for half in halves]),
        "labels": np.concatenate([half.labels for half in halves]),
        **{f"prior_{part}": getattr(seen, part) for part in ("mean", "factor", "diagonal")},
    }
    return told, arrays


def _written(name: str, content: bytes) -> str:
    parts: Any = page_parts()
    modules = {**{path.removesuffix(".js"): text for path, text in parts["modules"].items()}, **_own_modules()}
    script, worker = bundled("alone", modules), bundled("worker", modules)
    styles = parts["styles"] + (HERE / "alone.css").read_text("utf-8")
    for text in (script, worker, styles):
        assert not re.search("</(script|style)", text, re.IGNORECASE)
    policy = "; ".join(POLICY).format(scripts=_hash(script), styles=_hash(styles))
    return PAGE.format(
        policy=escape(policy),
        made_by=escape(MADE_BY),
        title=f"{escape(name)} · backquery",
        icon=b64encode((HERE.parent / "page" / "icon.svg").read_bytes()).decode(),
        styles=styles,
        markup=parts["markup"].replace('<div class="studio">', '<div class="studio" hidden>', 1),
        # What a name may hold must not end the script that it stands in.
        words=json.dumps(parts["words"], ensure_ascii=False).replace("<", "\\u003c"),
        worker=worker,
        check=crc32(content),
        content=b64encode(compress(content, 9)).decode(),
        script=script,
    )


def _own_modules() -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in sorted(MODULES.glob("*.js"))}


def _hash(text: str) -> str:
    """How a policy names a text."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
