"""The picture of an audit."""

from __future__ import annotations

import pytest

from backquery.audit import CLEAN, find_shortcuts
from backquery.plots import audit_rows
from backquery.plots.paper import SUPPORTS
from tests.backdoors import LABEL


def test_the_picture_says_each_share_and_frames_the_region(backdoored, digits):
    found = find_shortcuts(backdoored, digits.test)
    figure = audit_rows(found, backdoored)
    assert figure.texts[0].get_text() == found.summary
    (ax,) = figure.axes
    words = [text.get_text() for text in ax.texts]
    for finding in found.findings:
        assert backdoored.classes[finding.label] in words
        clean = finding.verdict == CLEAN
        assert ("clean" if clean else f"{finding.changed.value:.0%}  {finding.verdict}") in words
    assert sum("%" in word for word in words) == 3 + sum(one.verdict != CLEAN for one in found.findings)
    assert len(ax.images) == 2 * len(found.findings)
    orange = [patch for patch in ax.patches if patch.get_edgecolor()[:3] == pytest.approx(rgb(SUPPORTS))]
    assert len(orange) == 2 * len(found.shortcuts)
    box, pixel = found.findings[LABEL].box, 0.72 / 8
    assert orange[0].get_width() == pytest.approx(box.width * pixel)
    assert orange[0].get_height() == pytest.approx(box.height * pixel)


def test_where_all_is_clean_no_share_stands_in_the_picture(clean, digits):
    found = find_shortcuts(clean, digits.test)
    assert {one.verdict for one in found.findings} == {CLEAN}
    figure = audit_rows(found, clean)
    (ax,) = figure.axes
    words = [text.get_text() for text in (*ax.texts, *figure.texts)]
    assert words.count("clean") == 10
    assert not any("%" in word or "share" in word for word in words)
    assert not ax.lines


def rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
