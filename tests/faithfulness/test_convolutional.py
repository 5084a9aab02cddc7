"""The convolutional judge: trained once, kept, and trained again when what was kept is spoiled."""

from __future__ import annotations

import numpy as np
import pytest

from backquery.faithfulness import convolutional_judge

pytestmark = pytest.mark.needs("torch")


def test_it_is_trained_once_and_kept(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    seen = []
    judge = convolutional_judge(digits, progress=lambda done, total: seen.append(done))
    assert judge.performance >= 0.93
    assert seen[-1] == max(seen) > 0
    count = len(seen)
    ink = digits.test.images[:40].reshape(40, -1) / 16
    again = convolutional_judge(digits, progress=lambda done, total: seen.append(done))
    assert len(seen) == count
    np.testing.assert_array_equal(again.ask(ink), judge.ask(ink))
    (kept,) = tmp_path.glob("backquery/judge-*.safetensors")
    kept.write_bytes(kept.read_bytes()[:100])
    third = convolutional_judge(digits, progress=lambda done, total: seen.append(done))
    assert len(seen) == 2 * count
    np.testing.assert_array_equal(third.ask(ink), judge.ask(ink))


def test_it_leaves_the_user_s_random_numbers_alone(digits, tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    convolutional_judge(digits)
    assert torch.equal(torch.rand(3), expected)
