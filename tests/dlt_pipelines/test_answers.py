import pytest

from dlt_pipelines import answers


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":"x\\u0000y"}', {"a": "xy"}),
        (b'{"\\u0000a":["\\u0000"]}', {"a": [""]}),
        (b'{"a":"\\\\u0000"}', {"a": "\\u0000"}),
        (b'{"a":"\\ud800!"}', {"a": "?!"}),
        (b'{"a":18446744073709551615}', {"a": 18446744073709551615}),
        ('{"a":"é😀"}'.encode(), {"a": "é😀"}),
    ],
)
def test_what_postgres_cannot_hold_is_taken_out_and_nothing_else(body: bytes, value: object) -> None:
    assert answers.parse(body) == value


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a":', b"\xff"])
def test_what_is_not_json_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        answers.parse(body)


def test_the_hash_ignores_the_order_of_keys_and_minds_everything_else() -> None:
    def digest(value: dict[str, object]) -> str:
        return answers.content_hash(value, row_version="1")

    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1, "b": [1, 2]}) != digest({"a": 1, "b": [2, 1]})
    assert digest({"a": 1}) != answers.content_hash({"a": 1}, row_version="2")


def test_numbers_of_any_length_survive() -> None:
    assert answers.dump({"a": 2**70, "b": "é"}) == f'{{"a":{2**70},"b":"é"}}'
    assert answers.content_hash({"a": 2**70}, row_version="")


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-11-03T15:00:00Z", "2026-11-03T15:00:00+00:00"),
        ("2026-11-03T15:00:07.428+02:00", "2026-11-03T13:00:07.428000+00:00"),
        ("2026-11-03T15:00:31.816562-07:00", "2026-11-03T22:00:31.816562+00:00"),
        ("2026-11-03T15:00:00", "2026-11-03T15:00:00+00:00"),
    ],
)
def test_every_form_of_gongs_times_is_read(text: str, iso: str) -> None:
    at = answers.moment(text)
    assert at is not None
    assert at.isoformat() == iso


@pytest.mark.parametrize("value", [None, 1518863400, "yesterday", ""])
def test_what_is_no_time_is_none(value: object) -> None:
    assert answers.moment(value) is None
