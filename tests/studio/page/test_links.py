"""Links that somebody has changed: what is no question is left, and the page goes on as before."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.studio.page.conftest import ONE, Visitor, expect
from tests.studio.page.test_sharing import everything, link_of
from tests.test_fuzz import CHANGES, changed

QUIETLY = settings(
    max_examples=30, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip

LOOK = """
async ([fragments]) => {
  const { stateOf } = await import('/page/share.js');
  const begin = performance.now();
  const states = fragments.map(stateOf);
  return [states.every((state) => state === null || typeof state === 'object'), performance.now() - begin];
}
"""


def fragment_of(text: bytes) -> str:
    return f"#state={urlsafe_b64encode(text).decode().rstrip('=')}"


def state_of(visitor: Visitor) -> bytes:
    everything(visitor)
    script = "async (link) => JSON.stringify((await import('/page/share.js')).stateOf(link))"
    return str(visitor.page.evaluate(script, link_of(visitor))).encode()


def test_any_fragment_is_a_state_or_none(visitor: Visitor) -> None:
    odd = st.binary(max_size=200).map(fragment_of) | st.text(max_size=200).map("#state={}".format) | st.text()

    @settings(QUIETLY, max_examples=20)
    @given(st.lists(odd, min_size=20, max_size=50))
    def look(fragments: list[str]) -> None:
        texts = [text.encode("utf-8", "replace").decode() for text in fragments]
        sound, milliseconds = visitor.page.evaluate(LOOK, [texts])
        assert sound and milliseconds < 2000

    look()


def test_a_link_of_other_values_leaves_the_page_at_work(visitor: Visitor) -> None:
    sound = state_of(visitor)
    assert json.loads(sound)["off"] == [1, 10]

    @QUIETLY
    @given(CHANGES)
    def follow(changes: list[tuple[float, Any]]) -> None:
        text = changed(sound, changes)
        visitor.page.evaluate("(fragment) => { location.hash = fragment; }", fragment_of(text))
        visitor.page.wait_for_timeout(30)
        assert visitor.complaints == [], text

    follow()
    visitor.page.get_by_role("switch", name="Node 5", exact=True).click()
    expect(visitor.lead("inside")).not_to_contain_text("2 of 20 nodes are off")
    visitor.page.evaluate("(fragment) => { location.hash = fragment; }", fragment_of(sound))
    expect(visitor.lead("inside")).to_contain_text("2 of 20 nodes are off")
    visitor.draw(ONE)
    expect(visitor.lead("ask")).to_contain_text("It reads")
