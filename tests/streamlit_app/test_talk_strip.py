"""Who spoke when, read from the drawn strip: every turn has its place, and what was said stays text."""

import re
from datetime import UTC, datetime

from streamlit_app.queries.calls import Turn
from streamlit_app.queries.moments import Moment
from streamlit_app.talk_strip import talk_strip

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
MINUTE = 60_000


def turn(
    start_ms: int, end_ms: int, speaker: str = "REP", *, text: str = "We load it at night.", is_brief: bool = False
) -> Turn:
    return Turn(
        turn_id=start_ms + 1,
        side=speaker.partition("_")[0].lower(),
        speaker_label=speaker,
        start_ms=start_ms,
        end_ms=end_ms,
        text=text,
        n_words=5,
        is_question=False,
        is_backchannel=is_brief,
    )


def moment(start_ms: int, polarity: str, quote: str = "At night.") -> Moment:
    return Moment(
        evidence_id=f"{start_ms}-{polarity}",
        call_id="call-1",
        call_title=None,
        account_name=None,
        started_at=datetime(2026, 11, 16, 9, tzinfo=UTC),
        rep_id="finch",
        rep_name="Finch Sample",
        dimension="discovery",
        criterion_id="ds1_problem_depth",
        marker_id="ds1_m1",
        turn_id=1,
        start_ms=start_ms,
        side="rep",
        quote=quote,
        quote_verified=True,
        polarity=polarity,
        suggestion=None,
        rubric_version="a",
        call_url=None,
        customer_said=None,
    )


def drawn(turns: list[Turn], moments: list[Moment] | None = None) -> str:
    return talk_strip(turns, moments or [], label="Two speakers") or ""


def places(strip: str) -> list[tuple[float, float]]:
    """Left edge and width of every bar, in percent of the call."""
    return [(float(left), float(width)) for left, width in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", strip)]


def test_each_speaker_has_a_lane_and_each_turn_its_share_of_the_call() -> None:
    strip = drawn([turn(0, MINUTE), turn(MINUTE, 3 * MINUTE, "CUSTOMER_1"), turn(3 * MINUTE, 4 * MINUTE)])
    assert re.findall(r"right\">([^<]+)<", strip) == ["Rep", "Customer 1", "Minutes"]
    assert places(strip) == [(0, 25), (75, 25), (25, 50)]


def test_turns_that_no_screen_could_keep_apart_are_one_bar_that_says_both() -> None:
    last = turn(99 * MINUTE, 100 * MINUTE)
    near = drawn([turn(0, MINUTE, text="First."), turn(MINUTE + 50, 2 * MINUTE, text="Second."), last])
    assert places(near) == [(0, 2), (99, 1)]
    assert "First. Second." in near
    assert len(places(drawn([turn(0, MINUTE), turn(2 * MINUTE, 3 * MINUTE), last]))) == 3


def test_who_only_listened_along_is_pale() -> None:
    assert drawn([turn(0, MINUTE, is_brief=True)]).count("<i class=brief") == 1
    assert "<i class=brief" not in drawn([turn(0, MINUTE)])


def test_a_turn_without_an_end_still_stands_within_the_call() -> None:
    assert places(drawn([turn(0, MINUTE), turn(MINUTE, 0, "CUSTOMER_1")])) == [(0, 100), (100, 0)]


def test_moments_stand_above_with_their_kind() -> None:
    strip = drawn([turn(0, 2 * MINUTE)], [moment(0, "strength"), moment(MINUTE, "gap")])
    assert re.findall(r'<b style="left:([\d.]+%)" title="[^"]*">(.)</b>', strip) == [("0.00%", "▲"), ("50.00%", "◆")]
    assert "Moments" not in drawn([turn(0, MINUTE)])


def test_a_long_call_has_no_more_ticks_than_fit() -> None:
    for minutes in (0.2, 1, 7, 40, 245):
        strip = drawn([turn(0, round(minutes * MINUTE))])
        assert 1 <= strip.count("<b class=tick") <= 9


def test_what_was_said_is_never_markup() -> None:
    strip = drawn([turn(0, MINUTE, text=HOSTILE)], [moment(0, "gap", HOSTILE)])
    assert "<script" not in strip
    assert "<img" not in strip
    assert strip.count("&lt;script&gt;") == 2


def test_a_call_without_turns_has_no_strip() -> None:
    assert talk_strip([], [moment(0, "gap")], label="None") is None
