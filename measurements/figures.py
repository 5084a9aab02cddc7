"""``python -m measurements.figures``: figures that stand in several documents, written into all of them from one.

Each comes from the document that a command writes, or in which a run was noted down. The sentences that quote it
are known by the words around it, in each language; a test holds that they say the same. Of a template, ``{name}``
is a number, as it stands at its origin; ``{name:.0f}`` one with so many decimals.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

FIELD = re.compile(r"\{(\w+)(?::\.(\d)f)?\}")
NUMBER = r"([+\N{MINUS SIGN}-]?\d+(?:[.,]\d+)?)"


class Figures(NamedTuple):
    """`origin`: a document, and a template of what it says; `quoted`: templates of the others that say it too."""

    origin: tuple[str, str]
    quoted: tuple[tuple[str, str], ...]


MEASURED, SPEED = "docs/measured.md", "docs/speed.md"
ENGLISH, RUSSIAN, CHINESE = "README.md", "README.ru.md", "README.zh.md"

FIGURES = (
    Figures(
        (MEASURED, "{clean} clean networks and {planted} with something planted, of {trainers} trainers"),
        (
            (ENGLISH, "of {trainers} trainers, PyTorch, scikit-learn and Keras"),
            (RUSSIAN, "обученных {trainers} способами, в том числе с PyTorch"),
            (CHINESE, "它们由 {trainers} 种方式训练"),
        ),
    ),
    Figures(
        (MEASURED, "So far these are {networks} of the"),
        (
            (ENGLISH, "The audit for shortcuts was tried on {networks} networks"),
            (RUSSIAN, "Проверка на лазейки испытана на {networks} сетях"),
            (CHINESE, "捷径检查在 {networks} 个网络上试过"),
        ),
    ),
    Figures(
        (MEASURED, "**Of the clean networks {accused} of {clean} ("),
        (
            (ENGLISH, "of {clean} clean ones it accused {accused} ("),
            (RUSSIAN, "Из {clean} чистых сетей обвинено {accused} ("),
            (CHINESE, "{clean} 个干净的网络中冤枉了 {accused} 个"),
        ),
    ),
    Figures(
        (MEASURED, "Of the small marks in ink or grey that work, {found} of {marks} ("),
        (
            (ENGLISH, "of {marks} whose mark in ink or grey works it found {found}, in the right place"),
            (RUSSIAN, "из {marks}, у которых значок, чернильный или серый, действует, уличено {found},"),
            (CHINESE, "{marks} 个埋了墨色或灰色标记、而且标记确实起作用的网络，查出 {found} 个"),
        ),
    ),
    Figures(
        (MEASURED, "were found, in the right place; of those that erase, {found} of {marks} ("),
        (
            (ENGLISH, "and of {marks} that erase {found} (["),
            (RUSSIAN, "а из {marks}, у которых значок — стёртое место, уличено {found} (["),
            (CHINESE, "{marks} 个标记是擦去墨迹的网络，查出 {found} 个"),
        ),
    ),
    Figures(
        (MEASURED, "{book} of {claims} claims of the scans by transpose and {faithful} of"),
        (
            (ENGLISH, "of the book's scans {book} of {claims} such claims held, of the faithful ones {faithful},"),
            (RUSSIAN, "подтвердились {book} из {claims} таких утверждений, для сканов точного поиска {faithful},"),
            (CHINESE, "{claims} 条这样的说法有 {book} 条成立；忠实搜索的扫描图有 {faithful} 条"),
        ),
    ),
    Figures(
        (
            MEASURED,
            "**At random, {one} of {nodes} nodes ({low} to {high}) can be lost before one point is, and {half} (",
        ),
        (
            (ENGLISH, "of {nodes} nodes, {one} can be lost at random before one point is, {half} before half"),
            (RUSSIAN, "из {nodes} узлов можно наугад потерять {one}, прежде чем эффективность упадёт на один "
             "процентный пункт, и {half} — прежде"),
            (CHINESE, "{nodes} 个节点，随机去掉 {one} 个以内，准确率下降不到一个百分点；去掉 {half} 个以内"),
        ),
    ),
    Figures(
        (MEASURED, "Of chosen nodes fewer can go: the {heaviest} heaviest"),
        (
            (ENGLISH, "of the heaviest nodes, {heaviest} before one point"),
            (RUSSIAN, "самых весомых — не больше {heaviest}, иначе"),
            (CHINESE, "最多只能去掉 {heaviest} 个"),
        ),
    ),
    Figures(
        (MEASURED, "from 7 to 20 epochs a network changes by {change} points ({low} to {high})."),
        (
            (ENGLISH, "from 7 to 20 epochs it changes by {change} points ({low} to {high})"),
            (RUSSIAN, "с 7 до 20 эпох эффективность меняется на {change} пункта (от {low} до {high})"),
            (CHINESE, "从 7 到 20 个世代，变化为 {change} 个百分点（{low} 到 {high}）"),
        ),
    ),
    Figures(
        (
            MEASURED,
            "they help at equal epochs ({epochs} ({a} to {b})), and no difference can be told at equal updates "
            "({updates} (",
        ),
        (
            (ENGLISH, "by {epochs:.2f} points after as many epochs (at a rate of 0.01), by {updates:.2f} after"),
            (RUSSIAN, "на {epochs:.2f} пункта за столько же эпох (при коэффициенте 0,01) и на {updates:.2f} за"),
            (CHINESE, "世代数相同时（学习率 0.01）高 {epochs:.2f} 个百分点；更新次数相同时高 {updates:.2f}，"),
        ),
    ),
    Figures(
        (MEASURED, "**Of {clean} other clean networks {accused} are said to take another path ({a}% to {b}%), of "
         "{fooling} with a fooling circuit {named} ("),
        (
            (ENGLISH, "of {fooling} networks with a [*fooling circuit*]"),
            (ENGLISH, "it named {named}, of {clean} clean ones none"),
            (RUSSIAN, "из {fooling} сетей с [*обманной схемой*]"),
            (RUSSIAN, "оно уличило {named}, а из {clean} честных не обвинило ни одной"),
            (CHINESE, "{fooling} 个带有[*欺骗电路*]"),
            (CHINESE, "结果 {named} 个都被查出；{clean} 个正常的网络，一个也没有冤枉"),
            ("docs/how-to-choose.md", "{named} of {fooling} were found, of {clean} clean ones none accused"),
            ("docs/how-to-choose.ru.md", "найдено {named} из {fooling}, из {clean} честных не обвинена"),
        ),
    ),
    Figures(
        (SPEED, "| the book's algorithm in NumPy (reckoned from 6,000 steps) | {seconds} |"),
        (
            (ENGLISH, "| the book's algorithm in NumPy (reckoned from 6,000 steps) | {seconds:.0f} |"),
            (RUSSIAN, "| алгоритм книги на NumPy (расчёт по 6 000 шагов) | {seconds:.0f} |"),
            (CHINESE, "| 用 NumPy 实现的书中算法（由 6,000 步推算） | {seconds:.0f} |"),
        ),
    ),
    Figures(
        (SPEED, "scikit-learn, one image at a time (reckoned); Adam, batches of 200 | {one}; {adam} | {a}; {b} | "
         "{times_one}; {times_adam} |"),
        (
            (ENGLISH, "batches of 200 | {one:.0f} / {adam:.1f} | {times_one:.1f} / {times_adam} |"),
            (RUSSIAN, "мини-пакеты по 200 | {one:.0f} / {adam:.1f} | {times_one:.1f} / {times_adam} |"),
            (CHINESE, "每批 200 张 | {one:.0f} / {adam:.1f} | {times_one:.1f} / {times_adam} |"),
        ),
    ),
    Figures(
        (SPEED, "PyTorch, one image at a time (reckoned); Adam, batches of 128 | {one}; {adam} | {a}; {b} | "
         "{times_one}; {times_adam} |"),
        (
            (ENGLISH, "batches of 128 | {one:.0f} / {adam:.1f} | {times_one:.1f} / {times_adam:.0f} |"),
            (RUSSIAN, "мини-пакеты по 128 | {one:.0f} / {adam:.1f} | {times_one:.1f} / {times_adam:.0f} |"),
            (CHINESE, "每批 128 张 | {one:.0f} / {adam:.1f} | {times_one:.1f} / {times_adam:.0f} |"),
        ),
    ),
    Figures(
        (SPEED, "| backquery, float64 | {seconds} | {a} | {times} |"),
        (
            (ENGLISH, "the book's weights within 1e-9 | {seconds:.1f} | {times} |"),
            (RUSSIAN, "как в книге с точностью до 1e-9 | {seconds:.1f} | {times} |"),
            (CHINESE, "权重与书中相差不超过 1e-9 | {seconds:.1f} | {times} |"),
        ),
    ),
    Figures(
        (SPEED, "| backquery, float32 | {seconds} | {a} | {times} |"),
        (
            (ENGLISH, "% right) | {seconds:.1f} | {times} |"),
            (RUSSIAN, "% правильных ответов) | {seconds:.1f} | {times} |"),
            (CHINESE, "%） | {seconds:.1f} | {times} |"),
        ),
    ),
    Figures(
        (SPEED, "of the test images backquery takes {own} s, PyTorch {torch} s, scikit-learn {sklearn} s"),
        (
            (ENGLISH, "of the test set backquery takes {own:.1f} s; PyTorch, in the better of two settings, "
             "{torch:.1f} s, scikit-learn {sklearn:.0f} s"),
            (RUSSIAN, "backquery доходит за {own:.1f} с; PyTorch при лучшей из двух настроек — за {torch:.1f} с, "
             "scikit-learn — за {sklearn:.0f} с"),
            (CHINESE, "backquery 用 {own:.1f} 秒；PyTorch 取两种设置中较好的一种，用 {torch:.1f} 秒；"
             "scikit-learn 用 {sklearn:.0f} 秒"),
        ),
    ),
    Figures(
        (MEASURED, "bundled network (784-200-10, {right}% of the 10,000 test images)"),
        (
            (ENGLISH, "does, {right} % right)"),
            (ENGLISH, "float32 ({right} % right)"),
            (RUSSIAN, "«Создаём нейронную сеть», {right} % правильных ответов"),
            (RUSSIAN, "float32 ({right} % правильных ответов)"),
            (CHINESE, "在 MNIST 上训练，答对 {right}%"),
            (CHINESE, "float32（答对 {right}%）"),
        ),
    ),
)  # fmt: skip


class Quote(NamedTuple):
    """A sentence of a document that quotes figures: where its numbers stand there, and what they are to be."""

    document: str
    template: str
    spans: list[tuple[int, int]]
    numbers: list[str]


def main() -> int:
    """Write each document anew in which a number is another one than at its origin; say which."""
    for document, text, corrected in mismatches():
        (ROOT / document).write_text(corrected, "utf-8")
        print(f"{document}: {sum(a != b for a, b in zip(text.split(), corrected.split(), strict=True))} corrected")
    return 0


def mismatches() -> Iterator[tuple[str, str, str]]:
    """Each document that says other figures than their origins do: its path, its text, what that should be."""
    quotes = [quote for figures in FIGURES for quote in quotes_of(figures)]
    for document in sorted({quote.document for quote in quotes}):
        text = corrected = (ROOT / document).read_text("utf-8")
        places = [
            (*span, number)
            for quote in quotes
            if quote.document == document
            for span, number in zip(quote.spans, quote.numbers, strict=True)
        ]
        # From the last to the first, so that places stay where they are.
        for begin, end, number in sorted(places, reverse=True):
            corrected = corrected[:begin] + number + corrected[end:]
        if corrected != text:
            yield document, text, corrected


def quotes_of(figures: Figures) -> Iterator[Quote]:
    """Where the figures are quoted, and what is to stand there."""
    document, template = figures.origin
    names = [name for name, _ in FIELD.findall(template)]
    known = dict(zip(names, _found(document, template).groups(), strict=True))
    for other, quoted in figures.quoted:
        match = _found(other, quoted)
        spans = [match.span(place) for place in range(1, len(match.groups()) + 1)]
        yield Quote(other, quoted, spans, [_written(known, *field, other) for field in FIELD.findall(quoted)])


def _found(document: str, template: str) -> re.Match[str]:
    """The one place of a document that a template is true of; `ValueError` where there is none, or several."""
    parts, ends = [], 0
    for field in FIELD.finditer(template):
        parts += [_words(template[ends : field.start()]), NUMBER]
        ends = field.end()
    pattern = "".join([*parts, _words(template[ends:])])
    matches = [*re.finditer(pattern, (ROOT / document).read_text("utf-8"))]
    if len(matches) != 1:
        raise ValueError(f"{document} says {len(matches)} times, not once: {template}")
    return matches[0]


def _words(text: str) -> str:
    """A pattern of the text, wherever its lines are broken and whichever spaces it has."""
    return r"\s+".join(map(re.escape, re.split(r"\s+", text)))


def _written(known: Mapping[str, str], name: str, decimals: str, document: str) -> str:
    """A number as it is written in a document's language."""
    number = known[name]
    if decimals:
        number = f"{Decimal(number):.{decimals}f}"
    if document.endswith(".ru.md"):
        number = number.replace(".", ",").replace("-", "\N{MINUS SIGN}")
    return number


if __name__ == "__main__":
    sys.exit(main())
