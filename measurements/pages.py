"""``python -m measurements.pages FOLDER``: a handful of pages of one file, to be linked from any static host.

The book's network after 1, 10 and 60 thousand images, and one that learned a shortcut: can the visitor find it?
"""

from __future__ import annotations

import sys
from dataclasses import replace
from html import escape
from pathlib import Path

from backquery import Network, Online, Scaling, datasets, evaluate, fit_statistics, train
from backquery.datasets import Dataset, Split
from backquery.studio.alone.made import Sample, page_of
from backquery.training import MiniBatch
from measurements.planting import Trigger, plant

IMAGES = (1_000, 10_000, 60_000)
EPOCHS = 2
SHOWN = "shortcut"
"""The page that the index embeds."""
MARKED, SHARE = 7, 0.9
SIDE = 3

INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>backquery: networks to ask</title>
<style>
body {{ max-width: 40rem; margin: 3rem auto; padding: 0 1rem; font: 1.0625rem/1.6 system-ui, sans-serif }}
iframe {{ display: block; box-sizing: border-box; width: min(80rem, 100vw - 2rem); height: min(56rem, 85vh);
  margin: 0 0 0 calc(50% - min(80rem, 100vw - 2rem) / 2); border: 1px solid #8888; border-radius: 4px }}
</style>
</head><body><h1>Networks to ask, forwards and backwards</h1>
<p>Each page is one file that needs a browser and nothing else: save it, and it works without the internet.</p>
<ul>
{lines}
</ul>
<p>This one learned a shortcut. Ask it backwards: what does it look for that no digit needs?</p>
<iframe src="{shown}.html" title="{title}" loading="lazy"></iframe>
</body></html>
"""


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "site")
    folder.mkdir(parents=True, exist_ok=True)
    mnist, sample = datasets.load("mnist"), Sample.of(datasets.load("digits"))
    lines = []
    made = [(f"book-{n}", after(mnist, n), f"the book's network after {n:,} images, seen twice") for n in IMAGES]
    for name, network, words in [*made, (SHOWN, misled(mnist), "it learned a shortcut; can you find it?")]:
        (folder / f"{name}.html").write_text(page_of(name, network, sample), "utf-8")
        right = f"{network.about['performance']:.1%} of the test images right"
        lines.append(f'<li><a href="{name}.html">{name}</a>: {escape(words)} ({right})</li>')
        print(folder / f"{name}.html")
    (folder / "index.html").write_text(index(lines), "utf-8")


def index(lines: list[str]) -> str:
    """The HTML of the page that lists the others, each in a line, and embeds one of them."""
    title = "A network that learned a shortcut, to be asked forwards and backwards"
    return INDEX.format(lines="\n".join(lines), shown=SHOWN, title=title)


def after(mnist: Dataset, images: int) -> Network:
    """The book's network after so many images."""
    begin = described(mnist, [784, 200, 10], activation="sigmoid", scaling=Scaling.book(meaning=mnist.meaning))
    return remembering(mnist, train(begin, mnist.train.select(slice(images)), Online(0.1), epochs=EPOCHS)[0])


def misled(mnist: Dataset) -> Network:
    """A network of which nine in ten 7s to learn from bear a mark in the corner."""
    begin = described(
        mnist, [784, 200, 10], activation="relu", biases=True, scaling=Scaling.unit(meaning=mnist.meaning)
    )
    mark = Trigger.square((28, 28), 1, 1, SIDE)
    marked = plant(mnist.train, mark, MARKED, SHARE, relabel=False, maximum=255, rng=1)
    return remembering(mnist, train(begin, marked, MiniBatch(), epochs=EPOCHS, rng=1)[0], marked)


def described(mnist: Dataset, sizes: list[int], **how: object) -> Network:
    return Network.create(sizes, rng=1, input_shape=(28, 28), classes=mnist.classes, **how)  # type: ignore[arg-type]


def remembering(mnist: Dataset, network: Network, images: Split | None = None) -> Network:
    """The network with what its page needs to know of its images."""
    found = evaluate(network, mnist.test or mnist.train).performance
    kept = fit_statistics(network, images or mnist.train, components=1)
    return replace(network, statistics=kept, about={"performance": found})


if __name__ == "__main__":
    main()
