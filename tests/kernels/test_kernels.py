"""The kernels' own arithmetic at every width of vectors, and what happens without them."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backquery import Network, Online, kernels, train
from backquery.errors import TrainingError
from backquery.model import ACTIVATIONS
from backquery.training.recipes import LOSSES

WIDTHS = kernels.widths() or ("none",)
SOURCES = Path(kernels.__file__).parent

compiled = pytest.mark.needs("compiled kernels")


@pytest.fixture(params=WIDTHS)
def width(request, monkeypatch) -> str:
    monkeypatch.setenv(kernels.WIDTH, request.param)
    return request.param


def pointers(*arrays: np.ndarray) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(array.ctypes.data) for array in arrays]


def units_off(found: np.ndarray, exact: np.ndarray) -> float:
    unit = np.spacing(np.abs(exact).astype(found.dtype)).astype(np.longdouble)
    return float((abs(found.astype(np.longdouble) - exact) / unit).max())


@compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_exponential_is_within_two_units_in_the_last_place(dtype, width):
    bound = 87 if dtype == np.float32 else 700
    values = np.linspace(-bound, bound, 1 << 14).astype(dtype)
    powers = np.empty_like(values)
    given, found = pointers(values, powers)
    kernels.function("exponentials", dtype)(given, ctypes.c_int64(values.size), found)
    assert units_off(powers, np.exp(values.astype(np.longdouble))) <= 2


@compiled
def test_extremes_stay_finite(width):
    values = np.array([-np.inf, -1e9, 1e9, np.inf, 0, 1, -1, 2], np.float64)
    place = pointers(values)[0]
    kernels.function("exponentials", values.dtype)(place, ctypes.c_int64(values.size), place)
    assert np.all(np.isfinite(values))
    assert values[4] == 1.0


@compiled
def test_the_logarithm_is_within_three_units_in_the_last_place():
    values = np.concatenate([10.0 ** np.linspace(-30, 30, 5000), np.linspace(0.5, 2, 5001)])
    found = np.empty_like(values)
    given, written = pointers(values, found)
    kernels.function("logarithms", values.dtype)(given, ctypes.c_int64(values.size), written)
    exact = np.log(values.astype(np.longdouble))
    # Near one the logarithm vanishes, and the argument's own rounding counts.
    assert float(abs(found - exact).max()) < 2e-14
    assert units_off(found[np.abs(exact) > 0.1], exact[np.abs(exact) > 0.1]) <= 3


@compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows_are_what_differs_from_the_background(dtype, width):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (7, 30), np.uint8) * (rng.random((7, 30)) < 0.3).astype(np.uint8)
    inputs = (0.01 + pixels / 255).astype(dtype)
    for starts, places, values, wanted in (
        (*kernels.compress(inputs, 0.01), inputs - dtype(0.01)),
        (*kernels.compress_pixels(pixels, 1 / 255, np.dtype(dtype)), (pixels / 255).astype(dtype)),
    ):
        rows, columns = np.nonzero(pixels)
        np.testing.assert_array_equal(np.repeat(np.arange(7), np.diff(starts)), rows)
        np.testing.assert_array_equal(places, columns)
        np.testing.assert_allclose(values, wanted[rows, columns], rtol=1e-6)


@compiled
def test_sparse_rows_of_nothing_but_background():
    starts, places, values = kernels.compress(np.full((3, 4), 0.5), 0.5)
    assert starts.tolist() == [0, 0, 0, 0]
    assert places.size == values.size == 0


@compiled
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 2e-4), ("float64", 1e-11)])
@pytest.mark.parametrize("hidden", [(1,), (37,), (200, 17), (600,), ()])
def test_every_width_trains_the_same_network(dtype, bound, hidden, width):
    rng = np.random.default_rng(1)
    inputs = np.where(rng.random((150, 50)) < 0.2, rng.random((150, 50)), 0.01)
    start = Network.create([50, *hidden, 3], rng=0, dtype=dtype, biases=True)

    def trained(kernel: str) -> Network:
        return train(start, (inputs, np.arange(150) % 3), Online(0.05), epochs=2, kernel=kernel)[0]

    plain = trained("numpy")
    for kernel in ("sparse", "dense"):
        for layer, other in zip(trained(kernel).layers, plain.layers, strict=True):
            np.testing.assert_allclose(layer.weights, other.weights, atol=bound)


@compiled
def test_the_same_seed_gives_the_same_bytes(width):
    rng = np.random.default_rng(1)
    data = np.where(rng.random((90, 40)) < 0.2, 0.7, 0.01), np.arange(90) % 4
    first, second = (train(Network.create([40, 30, 4], rng=0), data, Online(), epochs=2)[0] for _ in range(2))
    assert all(
        a.weights.tobytes() == b.weights.tobytes() for a, b in zip(first.layers, second.layers, strict=True)
    )


@compiled
def test_a_width_that_this_machine_lacks_is_refused(monkeypatch):
    monkeypatch.setenv(kernels.WIDTH, "avx1024")
    with pytest.raises(TrainingError, match=r"BACKQUERY_VECTORS is 'avx1024', but this machine computes with \w+"):
        kernels.width()


def enumerated(name: str) -> list[str]:
    """The names of an enumeration of activations.h, in its order."""
    found = re.search(rf"enum {name} {{([^}}]*)}}", (SOURCES / "activations.h").read_text("utf-8"))
    assert found is not None
    return [word.strip().lower().replace("_", "-") for word in found[1].split(",")]


def test_the_header_gives_activations_and_losses_the_codes_that_they_have():
    known = {name: one.code for name, one in ACTIVATIONS.items() if one.code is not None}
    assert known == {name: code for code, name in enumerate(enumerated("activation"))}
    assert list(LOSSES) == enumerated("loss")


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, backquery; heavy = {'numpy', 'scipy', 'matplotlib', 'sklearn', 'torch', 'rich'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("library", ["", "/nowhere/kernels.so"])
def test_without_the_library_numpy_does_the_work(library, tmp_path):
    code = (
        "import numpy as np\n"
        "from backquery import Network, kernels, train\n"
        "from backquery.training.online import kernel_in_words\n"
        "data = np.full((10, 6), 0.01), np.arange(10) % 2\n"
        "network = Network.create([6, 3, 2], rng=0)\n"
        "print(train(network, data, epochs=1)[1].kernel, kernels.width() or 'none', kernel_in_words())\n"
        "train(network, data, epochs=1, kernel='sparse')\n"
    )
    # A width that is asked for makes no kernels of it.
    environment = {"PATH": "/usr/bin:/bin", kernels.LIBRARY: library, kernels.WIDTH: "avx2", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("numpy none by NumPy alone"), done.stderr
    assert "TrainingError: kernel 'sparse' needs the compiled kernels" in done.stderr


def padded(values: np.ndarray) -> np.ndarray:
    """The same with rows of whole lines, which zeros fill."""
    lanes = kernels.LINE // values.dtype.itemsize
    return np.pad(values, ((0, 0), (0, -values.shape[1] % lanes)))


@compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 8, 16), (5, 31, 33), (10, 200, 784)])
def test_products_are_those_of_numpy(shape, dtype, width):
    rng, (rows, inner, columns) = np.random.default_rng(0), shape
    a = rng.normal(size=(rows, inner)).astype(dtype)
    b = rng.normal(size=(inner, columns)).astype(dtype)
    wide_a, wide_b, turned = padded(a), padded(b), padded(np.ascontiguousarray(b.T))
    c, other = np.zeros((rows, wide_b.shape[1]), dtype), np.zeros((rows, wide_b.shape[1]), dtype)
    pitches = [ctypes.c_int32(matrix.shape[1]) for matrix in (wide_a, wide_b)]
    sizes = [ctypes.c_int32(size) for size in shape]
    where = pointers(wide_a, wide_b, c, turned, other)
    kernels.function("product", dtype)(where[0], pitches[0], where[1], where[2], sizes[0], sizes[1], pitches[1])
    kernels.function("product_by_rows", dtype)(
        where[0], where[3], where[4], sizes[0], sizes[2], pitches[0], pitches[1]
    )
    exact = a.astype(np.longdouble) @ b.astype(np.longdouble)
    for found in (c, other):
        assert np.abs(found[:, :columns] - exact).max() <= 4 * inner * np.finfo(dtype).eps
        assert not found[:, columns:].any()


@compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_systems_with_a_positive_matrix_are_solved_and_others_refused(size, dtype, width):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3 * size, size)).astype(dtype)
    wide, sums = padded(rows), padded(np.eye(size, dtype=dtype))
    pitch, count = ctypes.c_int32(sums.shape[1]), ctypes.c_int32(size)
    number = ctypes.c_float if dtype == np.float32 else ctypes.c_double
    for row in wide:
        kernels.function("add_square", dtype)(*pointers(sums, row), number(1.0), count, pitch)
    exact = np.eye(size) + rows.T.astype(np.float64) @ rows
    np.testing.assert_allclose(sums[:, :size], exact, rtol=1e3 * np.finfo(dtype).eps, atol=1e-4)
    sides = padded(rng.normal(size=(3, size)).astype(dtype))
    wanted = np.linalg.solve(exact, sides[:, :size].T).T
    solve = kernels.function("solve_positive", dtype, ctypes.c_int32)
    assert solve(*pointers(sums, sides), count, ctypes.c_int32(3), pitch) == 1
    np.testing.assert_allclose(sides[:, :size], wanted, rtol=0, atol=1e4 * np.finfo(dtype).eps)
    negative = padded(-np.eye(size, dtype=dtype))  # a name, since a pointer keeps no array
    assert solve(*pointers(negative, sides), count, ctypes.c_int32(1), pitch) == 0
