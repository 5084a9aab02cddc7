"""Sweeps without workers: which runs a grid makes, what the database keeps, what the curves say."""

from __future__ import annotations

import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from threading import Barrier

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy.stats import ttest_1samp

from backquery.datasets import fingerprint, load
from backquery.datasets.idx import write_idx
from backquery.errors import AssumptionWarning, DataError, OutputError, ShortOfMemoryError, TrainingError
from backquery.experiments.sweep import Cluster, Grid, Point, Run, Runs, Setting, families
from backquery.experiments.sweep.runs import DATABASE
from backquery.experiments.sweep.worker import DataMissing, Failed, Source, Trained, do_run
from backquery.model import memory
from backquery.plots import save_figure, sweep_curves
from backquery.plots.paper import PENCIL
from backquery.training.plan import Plan, carry_out, settled_recipe

NETWORK = b"any bytes"
TINY = Plan((3,), ("sigmoid", "sigmoid"), False, "book", settled_recipe("book", 0.1), 2, seed=1)


def settings_of(plans):
    return [(plan.hidden, plan.recipe.learning_rate, plan.epochs, plan.seed) for plan in plans]


# Grids


def test_a_grid_makes_every_combination_by_every_seed_the_longest_first():
    grid = Grid(hidden=[(5,), (20, 10)], learning_rates=[0.1, 0.3], seeds=2)
    made = settings_of(grid.plans())
    assert len(made) == len(set(made)) == 8
    assert [seed for *_, seed in made] == [1] * 4 + [2] * 4
    assert [hidden for hidden, *_ in made[:4]] == [(20, 10), (20, 10), (5,), (5,)]
    assert {epochs for _, _, epochs, _ in made} == {5}


def test_only_the_longest_is_trained_where_the_rate_does_not_fall():
    assert settings_of(Grid(epochs=[2, 7, 5], seeds=1).plans()) == [((200,), 0.1, 7, 1)]
    falling = settings_of(Grid(epochs=[2, 7, 5], seeds=1, recipe="online").plans())
    assert sorted(epochs for _, _, epochs, _ in falling) == [2, 5, 7]


def test_one_at_a_time_goes_through_the_usual_values_or_the_first():
    grid = Grid(hidden=[(50,), (200,)], learning_rates=[0.3, 0.2, 0.5], epochs=[3, 9], seeds=1, one_at_a_time=True)
    assert grid.base == ((200,), 0.3, 3)
    expected = {((50,), 0.3, 3), ((200,), 0.2, 3), ((200,), 0.5, 3), ((200,), 0.3, 3), ((200,), 0.3, 9)}
    assert set(grid.settings) == expected
    # The run of nine epochs tells what three give.
    trained = {(hidden, rate, epochs) for hidden, rate, epochs, _ in settings_of(grid.plans())}
    assert trained == expected - {((200,), 0.3, 3)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": [()]},
        {"hidden": []},
        {"hidden": [(0,)]},
        {"epochs": [0]},
        {"seeds": 0},
        {"seeds": 10**12},
        {"recipe": "secret"},
        {"loss": "none"},
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(TrainingError):
        Grid(**wrong)


def test_what_cannot_be_trained_is_refused_when_the_runs_are_made():
    with pytest.raises(TrainingError, match="learning rate"):
        Grid(learning_rates=[-1.0]).plans()
    with pytest.raises(TrainingError, match="layers need"):
        Grid(hidden=[(5,), (5, 5)], activations=["relu", "softmax"]).plans()


# The database


@pytest.fixture
def source():
    return Source.of("digits")


def run_of(plan, source, performance=0.5, **changes):
    accuracies = [min(0.1 * k, 1.0) for k in range(1, plan.epochs)] + [performance]
    history = {"loss": [1.0] * plan.epochs, "train_accuracy": accuracies, "test_accuracy": accuracies}
    setting = Setting.of(plan, source.name, source.fingerprint)
    return replace(
        Run(
            setting, None, performance, 100, history, "sparse", setting.network, sha256(NETWORK).hexdigest(), 1.5,
            "now", {"python": "3"},
        ),
        **changes,
    )  # fmt: skip


@pytest.mark.parametrize("attempt", range(10))
def test_a_database_that_several_open_while_it_is_made_is_made_once(tmp_path, attempt):
    """As when somebody looks on at the moment when a sweep begins."""
    together = Barrier(4)

    def look(place):
        together.wait()
        with Runs.opened(tmp_path) as runs:
            return list(runs)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(look, range(4))) == [[]] * 4


def test_runs_come_back_as_they_were_kept(tmp_path, source):
    kept = [
        run_of(TINY, source),
        run_of(replace(TINY, seed=2, hidden=(4, 3), activations=("relu", "relu", "softmax")), source, 0.7),
        Run(Setting.of(replace(TINY, seed=3), "digits", source.fingerprint), error="it diverged", finished="now"),
    ]
    (tmp_path / "networks").mkdir()
    for run in kept[:2]:
        (tmp_path / run.network).write_bytes(NETWORK)
    with Runs.opened(tmp_path) as runs:
        for run in kept:
            runs.keep(run)
    with Runs.existing(tmp_path) as runs:
        assert list(runs) == kept
        assert runs.done() == {kept[0].setting.key, kept[1].setting.key}
        assert runs.failed() == {kept[2].setting.key}
        runs.keep(run_of(replace(TINY, seed=3), source))
        assert len(list(runs)) == 3
        assert runs.failed() == set()
        assert kept[2].setting.key not in runs.done(), "a run without its network is not done"
        (tmp_path / kept[0].network).write_bytes(NETWORK[:-1] + b"?")
        assert runs.done() == {kept[1].setting.key}, "nor is one whose network was damaged"


def test_every_part_of_a_setting_tells_runs_apart():
    setting = Setting.of(TINY, "digits", "abc")
    others = {
        replace(setting, **{name: value + value if isinstance(value, str) else value + 1}).key
        for name, value in vars(setting).items()
    }
    assert len(others | {setting.key}) == len(vars(setting)) + 1
    assert Setting.of(TINY, "digits", "abc").key == setting.key


def test_a_full_disk_is_said_and_leaves_whole_runs(tmp_path, source):
    with Runs.opened(tmp_path) as runs:
        for seed in range(3):
            runs.keep(run_of(replace(TINY, seed=seed), source))
        (pages,) = runs.connection.execute("PRAGMA page_count").fetchone()
        runs.connection.execute(f"PRAGMA max_page_count = {pages}")
        large = run_of(replace(TINY, seed=9, epochs=20_000), source)
        with pytest.raises(OutputError, match="the disk is full"):
            runs.keep(large)
    with Runs.existing(tmp_path) as runs:
        assert [run.setting.seed for run in runs] == [0, 1, 2]
        runs.keep(large)
        assert len(list(runs)) == 4


def damaged(path):
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def renumbered(path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b"no database " * 999), "is damaged"),
        (damaged, "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "is damaged"),
        (
            lambda path: sqlite3.connect(path).execute("PRAGMA user_version = 7").connection.close(),
            "another program",
        ),
    ],
    ids=["text", "overwritten", "cut short", "newer"],
)
def test_a_database_that_cannot_be_used_is_refused_with_a_reason(tmp_path, source, spoil, said):
    with Runs.opened(tmp_path) as runs:
        for seed in range(30):
            runs.keep(run_of(replace(TINY, seed=seed), source))
    spoil(tmp_path / DATABASE)
    for opening in (Runs.opened, Runs.existing):
        with pytest.raises(DataError, match=said), opening(tmp_path) as runs:
            list(runs)


DEEP = "[" * 100_000
SPOILT = {
    "history": [
        "nonsense", "[]", "null", "{}", DEEP, b"\xff", '{"loss": 1, "train_accuracy": 1, "test_accuracy": 1}',
        *(json.dumps({"loss": loss, "train_accuracy": [0.1, 0.2], "test_accuracy": [0.1, 0.2]})
          for loss in ([1], [1, 2, 3], [1, None], [1, "2"], [1, float("nan")], [1, True], [1, 10**400], [1, [2]])),
        json.dumps({"loss": [1, 1], "train_accuracy": [0.1, 0.2], "test_accuracy": [0.1, 2]}),
    ],
    "network": [None, b"blob", "x" * 100_000, "../other.safetensors", "networks/other.safetensors", 7, "a\0b"],
    "learning_rate": ["fast", b"\x00", float("inf"), -1.0, 0.2],
    "epochs": ["many", 0, 3, 2.5, b"2"],
    "hidden": ["", "x", "0", "3-", "9" * 5000, b"3", "4"],
    "recipe": ["secret", b"book", 5],
    "performance": ["good", None, 1.5, float("-inf"), b""],
    "biases": ["no", 1],
    "digest": [None, b"00"],
    "seconds": [None, float("inf"), "long"],
    "test_images": [None, 0, "all"],
    "data": [b"digits", "mnist"],
    "versions": ["", "[]", '{"python": 3}', '{"python": [[[]]]}', DEEP, b"\x80"],
    "finished": [b"now"],
    "error": [b"no", "it diverged"],
    "key": ["0" * 32, b"key", "\x1b[31m"],
}  # fmt: skip


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["show", "{folder}"], id="shown"),
        pytest.param(
            ["digits", "-o", "{folder}", "--hidden", "3", "--epochs", "2", "--seeds", "1"], id="gone on with",
            marks=pytest.mark.needs("distributed", "filelock"),
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("column", SPOILT)
def test_a_row_that_something_else_wrote_in_is_refused_with_its_key(tmp_path, source, run, column, command):
    kept = run_of(TINY, source)
    for value in SPOILT[column]:
        with Runs.opened(tmp_path) as runs:
            runs.keep(run_of(replace(TINY, seed=2), source))
            runs.keep(kept)
            with runs.connection:
                runs.connection.execute(f"UPDATE runs SET {column} = ? WHERE seed = 1", (value,))
        code, out, err = run("sweep", *(word.format(folder=tmp_path) for word in command))
        assert (code, out, err.count("\n")) == (1, "", 1), value
        assert f"{DATABASE} is damaged (run " in err
        assert "move it away, and the same command makes its runs again" in err
        assert len(err) < 700
        assert column == "key" or kept.setting.key in err
        assert "its settings are not those" in err or column == "error" or column in err
        (tmp_path / DATABASE).unlink()


def test_a_failed_row_is_nothing_but_an_error(tmp_path, source):
    with Runs.opened(tmp_path) as runs:
        runs.keep(Run(Setting.of(TINY, "digits", source.fingerprint), error="it diverged", finished="now"))
        with runs.connection:
            runs.connection.execute("UPDATE runs SET history = '[[NaN]]'")
        for reading in (list, Runs.done, Runs.failed):
            with pytest.raises(DataError, match="it has an error and an outcome"):
                reading(runs)


def test_the_database_of_something_else_is_left_alone(tmp_path):
    connection = sqlite3.connect(tmp_path / DATABASE)
    connection.execute("CREATE TABLE music (title TEXT)")
    connection.close()
    with pytest.raises(DataError, match="another program"), Runs.opened(tmp_path):
        pass


def test_a_database_that_is_held_by_another_is_waited_for_and_then_said(tmp_path, source, monkeypatch):
    monkeypatch.setattr("backquery.experiments.sweep.runs.PATIENCE", 0.1)
    with Runs.opened(tmp_path) as runs, Runs.existing(tmp_path) as other:
        other.connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputError, match="another program holds it"):
            runs.keep(run_of(TINY, source))
        assert list(runs) == []


def test_there_must_be_a_sweep_to_look_at(tmp_path):
    with pytest.raises(DataError, match="holds no sweep"), Runs.existing(tmp_path):
        pass
    with pytest.raises(OutputError, match="no folder"), Runs.opened(tmp_path / "nowhere"):
        pass


# What a worker does


def test_a_run_is_the_training_of_its_plan(source):
    answer = do_run(TINY, source)
    assert isinstance(answer, Trained)
    network, history = carry_out(TINY, load("digits"))
    assert answer.performance == network.about["performance"] == history.epochs[-1].test_accuracy
    assert answer.test_images == len(load("digits").test)
    assert do_run(TINY, source).network == answer.network
    assert do_run(replace(TINY, seed=2), source).network != answer.network


def test_a_run_that_fails_says_why(source):
    wild = replace(TINY, activations=("relu", "identity"), recipe=settled_recipe("book", 1e30))
    answer = do_run(wild, source)
    assert isinstance(answer, Failed)
    assert "left the finite numbers" in answer.error


def small_mnist(folder, seed=0):
    rng = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    for half, count in (("train", 60), ("t10k", 20)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = rng.integers(0, 256, (count, 4, 4), np.uint8) * (
            labels[:, None, None] > rng.integers(0, 10, (4, 4))
        )
        write_idx(folder / f"{half}-images-idx3-ubyte", images.astype(np.uint8))
        write_idx(folder / f"{half}-labels-idx1-ubyte", labels)
    return folder


def test_a_worker_without_the_same_data_asks_for_them(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKQUERY_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    small_mnist(tmp_path / "mnist")
    source = Source.of("mnist")
    dataset = source.open()
    shutil.rmtree(tmp_path / "mnist")
    with pytest.raises(DataMissing, match="not at hand"):
        do_run(TINY, source)
    small_mnist(tmp_path / "mnist", seed=1)
    with pytest.raises(DataMissing, match="other data"):
        do_run(TINY, source)
    assert isinstance(do_run(TINY, source, dataset), Trained)


def test_data_are_known_by_their_content_wherever_they_lie(tmp_path):
    first = fingerprint(small_mnist(tmp_path / "digits-here"))
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "digits-here"
    shutil.copytree(tmp_path / "digits-here", moved)
    assert fingerprint(moved) == first
    assert fingerprint(moved, moved) != first
    images = moved / "train-images-idx3-ubyte"
    assert fingerprint(images) != first
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    assert fingerprint(moved) != first
    assert fingerprint("digits") == fingerprint("digits") != first
    with pytest.raises(DataError, match="neither a file or folder"):
        fingerprint(tmp_path / "nothing")


@pytest.mark.parametrize("half", ["mnist_train.csv", "mnist_test.csv"])
def test_both_files_of_a_table_count(tmp_path, half):
    for name in ("mnist_train.csv", "mnist_test.csv"):
        (tmp_path / name).write_text("1,0,255,0,9\n0,3,2,1,0\n")
    before = fingerprint(tmp_path / "mnist_train.csv")
    (tmp_path / half).write_text("1,0,255,0,8\n0,3,2,1,0\n")
    assert fingerprint(tmp_path / "mnist_train.csv") != before


# Curves


def swept(source, performance, recipe="book"):
    """Runs of 10, 200 and 300 nodes at three rates by four seeds, three epochs each, without training."""
    rates, nodes = (0.05, 0.1, 0.2), (10, 200, 300)
    plans = [
        replace(TINY, hidden=(n,), recipe=settled_recipe(recipe, r), recipe_name=recipe, seed=s, epochs=3)
        for n in nodes for r in rates for s in range(1, 5)
    ]  # fmt: skip
    return [run_of(plan, source, performance(plan)) for plan in plans]


def quality(plan):
    return 0.9 - 1 / plan.hidden[0] - abs(plan.recipe.learning_rate - 0.1) + 0.001 * plan.seed


def test_points_are_means_over_the_seeds_in_student_s_interval(source):
    (family,) = families(swept(source, quality))
    reached = family.reached(Point(0.2, 3, "10"))
    values = [0.9 - 0.1 - 0.1 + 0.001 * seed for seed in range(1, 5)]
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert reached.performance == pytest.approx(np.mean(values))
    assert (reached.low, reached.high) == pytest.approx(tuple(expected))
    assert reached.seeds == 4
    assert family.best().point == Point(0.1, 3, "300")
    alone = families([run_of(TINY, source)])[0].reached(Point(0.1, 2, "3"))
    assert (alone.low, alone.high, alone.seeds) == (None, None, 1)


def test_curves_go_through_the_usual_setting(source):
    (family,) = families(swept(source, quality))
    base = family.base()
    assert base == Point(0.1, 3, "200")
    assert [one.point.hidden for one in family.curve("hidden", base)] == ["10", "200", "300"]
    assert [one.point.learning_rate for one in family.curve("learning_rate", base)] == [0.05, 0.1, 0.2]
    assert [one.point.epochs for one in family.curve("epochs", base)] == [1, 2, 3]
    assert [one.performance for one in family.curve("epochs", base)][:2] == pytest.approx([0.1, 0.2])
    assert len(family.curves("hidden", base)) == 2
    assert len(family.curves("epochs", base)) == 8
    assert family.base(2) == Point(0.1, 2, "200")
    assert family.settings(4) == []


def test_where_the_rate_falls_only_the_last_epoch_counts(source):
    (family,) = families(swept(source, quality, "online"))
    assert {point.epochs for point in family.performances} == {3}


def test_runs_that_differ_in_more_are_kept_apart_and_failures_left_out(source):
    runs = swept(source, quality)
    other = [run_of(replace(TINY, dtype="float64", seed=s), source) for s in (1, 2)]
    deep = run_of(replace(TINY, hidden=(5, 5), activations=("sigmoid",) * 3), source)
    failed = replace(runs[0], error="no", performance=None, history={})
    found = families([*other, failed, *runs[1:], deep])
    assert [len(family.runs) for family in found] == [36, 2]
    assert families([failed]) == []


def test_the_picture_of_every_stage_of_a_sweep(tmp_path, source):
    """One run, one line, a whole grid: drawn without a warning, with its number in the title."""
    runs = swept(source, quality)
    for stage in (runs[:1], runs[:2], runs[:4], runs):
        (family,) = families(stage)
        figure = sweep_curves(family)
        assert any(f"{family.best().performance:.2%}" in text.get_text() for text in figure.texts)
        save_figure(figure, tmp_path / f"{len(stage)}.png")
        assert (tmp_path / f"{len(stage)}.png").stat().st_size > 5000


def far_apart(plan):
    """Two seeds so far from each other that their intervals leave the picture."""
    return quality(plan) + (0.09 if plan.seed == 1 else -0.09)


@pytest.mark.parametrize("performance", [quality, far_apart])
def test_the_label_of_the_best_stays_in_its_panel_and_the_words_in_the_picture(source, performance):
    runs = [
        replace(one, setting=replace(one.setting, data="fashion-mnist"))
        for one in swept(source, performance)
        if one.setting.seed < 3
    ]
    for stage in (runs, [one for one in runs if one.setting.hidden == "200"]):
        figure = sweep_curves(families(stage)[0])
        renderer = FigureCanvasAgg(figure).get_renderer()
        width = figure.bbox.width
        for text in figure.texts:
            box = text.get_window_extent(renderer)
            assert box.x0 >= 0
            assert box.x1 <= width
        for ax in figure.axes:
            (label,) = ax.texts
            box, panel = label.get_window_extent(renderer), ax.get_window_extent(renderer)
            assert panel.y0 <= box.y0 < box.y1 <= panel.y1 + 1
            assert box.x1 <= width


def test_a_best_that_lies_on_a_grey_line_has_its_dot(source):
    """The curves go through 200 nodes; 300 are better."""
    (family,) = families(swept(source, quality))
    figure = sweep_curves(family)
    title, subtitle = (text.get_text() for text in figure.texts)
    assert "after 3 epochs at rate 0.1, 300 nodes, the best of 9 settings" in title
    assert subtitle.endswith("grey: others, the dot the best")
    dots = [
        (ax.get_xlabel(), *line.get_xydata()[0])
        for ax in figure.axes
        for line in ax.lines
        if line.get_marker() == "o" and line.get_color() == PENCIL
    ]
    wrong = 100 - 100 * family.best().performance
    assert dots == [("learning rate", 0.1, pytest.approx(wrong)), ("epochs", 3, pytest.approx(wrong))]
    (alone,) = families(run for run in swept(source, quality) if run.setting.hidden == "200")
    assert "dot" not in sweep_curves(alone).texts[1].get_text()


@pytest.mark.needs("distributed")
def test_no_more_processes_are_started_than_memory_allows(monkeypatch):
    from dask import system

    monkeypatch.setattr(system, "CPU_COUNT", 8)
    monkeypatch.setattr(memory, "available", lambda: 3 * 10**9)
    with pytest.warns(AssumptionWarning, match=r"^2 of 8 processes are started, as each takes up to 1\.25 GB"):
        assert Cluster()._processes(20, 1e9) == 2
    assert Cluster()._processes(2, 1e9) == 2
    assert Cluster(workers=2)._processes(20, 1e9) == 2
    with pytest.raises(ShortOfMemoryError, match=r"training 3 networks at a time needs 3\.75 GB.*fewer --workers"):
        Cluster(workers=3)._processes(20, 1e9)
    with pytest.raises(ShortOfMemoryError, match="training a network at a time"):
        Cluster()._processes(20, 5e9)
