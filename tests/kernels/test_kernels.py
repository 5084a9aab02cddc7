"""The kernels' own arithmetic, and where their compiled code is kept."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from backquery import kernels


@pytest.mark.needs("Numba")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_exponential_is_within_two_units_in_the_last_place(dtype):
    from numba import njit

    from backquery.kernels import tiles

    @njit
    def run(values, results):
        lanes = tiles.LINE // values.itemsize
        for k in range(0, len(values), lanes):
            store(results, k, exponential(load(values, k, 1)))

    exponential, load, store = tiles.exponential, tiles.load, tiles.store
    bound = 87 if dtype == np.float32 else 700
    values = np.linspace(-bound, bound, 1 << 14).astype(dtype)
    results = np.empty_like(values)
    run(values, results)
    exact = np.exp(values.astype(np.longdouble))
    unit = np.spacing(exact.astype(dtype)).astype(np.longdouble)
    assert float((abs(results.astype(np.longdouble) - exact) / unit).max()) <= 2


@pytest.mark.needs("Numba")
def test_extremes_stay_finite():
    from numba import njit

    from backquery.kernels import tiles

    exponential, load, store = tiles.exponential, tiles.load, tiles.store

    @njit
    def run(values):
        store(values, 0, exponential(load(values, 0, 1)))

    values = np.array([-np.inf, -1e9, 1e9, np.inf, 0, 1, -1, 2], np.float64)
    run(values)
    assert np.all(np.isfinite(values))
    assert values[4] == 1.0


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, backquery; heavy = {'numpy', 'scipy', 'numba', 'matplotlib', 'sklearn', 'torch', 'rich'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_training_works_where_nothing_can_be_kept(tmp_path):
    """No home, no cache folder: the kernel compiles for this process alone."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    code = (
        "import numpy as np\n"
        "from backquery import Network, Online, train\n"
        "x = np.where(np.random.default_rng(0).random((40, 12)) < 0.3, 0.5, 0.01)\n"
        "network, history = train(Network.create([12, 4, 2], rng=0), (x, np.arange(40) % 2), Online(), epochs=1)\n"
        "assert history.kernel == 'sparse'"
    )
    environment = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(blocked), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "what was made on the way is removed again"


def test_without_numba_the_numpy_twin_does_the_work(monkeypatch):
    from backquery import Network, train
    from backquery.errors import TrainingError

    monkeypatch.setattr(kernels, "available", lambda: False)
    data = np.full((10, 6), 0.01), np.arange(10) % 2
    network = Network.create([6, 3, 2], rng=0)
    assert train(network, data, epochs=1)[1].kernel == "numpy"
    with pytest.raises(TrainingError, match="needs Numba"):
        train(network, data, epochs=1, kernel="sparse")
