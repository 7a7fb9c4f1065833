from pathlib import Path

import pytest

from knowledge.metrics import MetricError, load_metrics

ENTRY = """
metrics:
  talk_ratio:
    title: Talk ratio
    definition: The rep's share.
    unit: percent
    grain: call
    when_empty: Empty without times.
    caution: No target.
    source: marts.fct_call_participants.talk_ratio
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metrics.yaml"


def test_metrics_come_in_the_order_of_the_file() -> None:
    names = [metric.metric for metric in load_metrics()]
    assert names[:2] == ["dimension_score", "criterion_level"]
    assert len(set(names)) == len(names) > 20


def test_an_entry_without_its_unit_is_named(file: Path) -> None:
    file.write_text(ENTRY.replace("    unit: percent\n", ""), encoding="utf-8")
    with pytest.raises(MetricError, match=r"metrics.yaml: talk_ratio: unit: .*correct this entry"):
        load_metrics(file)


@pytest.mark.parametrize("text", ["", "metrics: 3", "metrics: [", "other: {}"])
def test_a_file_that_holds_no_metrics_says_what_it_needs(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(MetricError, match="it needs a mapping `metrics:`"):
        load_metrics(file)


def test_an_entry_that_is_only_a_text_is_named(file: Path) -> None:
    file.write_text("metrics:\n  talk_ratio: percent\n", encoding="utf-8")
    with pytest.raises(MetricError, match="talk_ratio: holds no mapping"):
        load_metrics(file)
