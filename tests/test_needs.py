"""What a test needs is looked up before it runs, and no skip passes without a reason of the list."""

from __future__ import annotations

import pytest

from tests.needs import CONDITIONS, REASONS, objection

pytest_plugins = ["pytester"]

HOOKS = "from tests.conftest import pytest_make_collect_report, pytest_runtest_makereport, pytest_runtest_setup"


@pytest.fixture
def skipping(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Tests of which three need what there is not, and two are skipped by themselves."""
    monkeypatch.delenv("BACKQUERY_REQUIRE", raising=False)
    pytester.makeini("[pytest]\nmarkers = needs")
    pytester.makeconftest(HOOKS)
    pytester.makepyfile(
        test_whole="from tests.needs import needs\nneeds('nothing_of_this_name')\nimport nothing_of_this_name",
        test_parts="""
        import pytest, unittest

        @pytest.mark.needs("pytest", "nothing_of_this_name")
        def test_marked(): raise AssertionError("this must not run")

        @pytest.mark.parametrize("k", [1, pytest.param(2, marks=pytest.mark.needs("nothing_of_this_name"))])
        def test_parameter(k): assert k == 1

        @pytest.mark.needs("/dev/null", "pytest")
        def test_that_has_all(): pass

        @pytest.mark.skipif(True, reason="on Mondays")
        def test_on_mondays(): pass

        def test_elsewhere(): raise unittest.SkipTest("pandas is not here")

        def test_of_scikit_learn():
            raise unittest.SkipTest("pandas is not installed: not checking estimators for pandas objects.")
        """,
    )
    return pytester


@pytest.mark.needs("/dev/null")
def test_only_a_reason_of_the_list_skips(skipping: pytest.Pytester) -> None:
    result = skipping.runpytest_inprocess("-rA")
    result.assert_outcomes(passed=2, skipped=4, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [f"*not on the list in tests/needs.py: {said}" for said in ("on Mon*", "pandas is *")]
    )


@pytest.mark.needs("/dev/null")
def test_where_everything_is_required_nothing_skips(
    skipping: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKQUERY_REQUIRE", "1")
    result = skipping.runpytest_inprocess("--continue-on-collection-errors")
    result.assert_outcomes(passed=2, failed=2, errors=4)
    result.stdout.fnmatch_lines(["*BACKQUERY_REQUIRE is set, so nothing may be skipped, but on Mondays"])


def test_every_condition_gives_a_reason_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKQUERY_REQUIRE", raising=False)
    assert {reason for _, reason in CONDITIONS.values()} <= set(REASONS)
    assert all(objection(reason.format(name)) is None for name, (_, reason) in CONDITIONS.items())
    assert objection("this system has no") is not None
