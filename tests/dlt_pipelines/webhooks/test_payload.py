from datetime import UTC, datetime

import pytest

from dlt_pipelines.webhooks.payload import OddEventError, read_hint


def test_a_call_event_names_its_call_and_start() -> None:
    hint = read_hint(
        b'{"callData": {"metaData": {"id": "55", "started": "2026-11-16T10:00:00+02:00"}}, "isTest": false}'
    )
    assert (hint.call_id, hint.is_test) == ("55", False)
    assert hint.started_at == datetime(2026, 11, 16, 8, tzinfo=UTC)


def test_an_id_sent_as_a_number_beyond_2_to_the_53_stays_exact() -> None:
    assert read_hint(b'{"callData": {"metaData": {"id": 5599332235511222779}}}').call_id == "5599332235511222779"


@pytest.mark.parametrize("started", [b"null", b'"yesterday"', b"17", b'""', b"{}", b'"9999-12-31T23:59:59-14:00"'])
def test_a_start_that_cannot_be_read_is_left_open(started: bytes) -> None:
    assert read_hint(b'{"callData": {"metaData": {"id": "1", "started": ' + started + b"}}}").started_at is None


def test_a_test_needs_no_call() -> None:
    assert read_hint(b'{"isTest": true}').is_test


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"null",
        b"[]",
        b'"text"',
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b"{" + b'"a":' * 5,
        b'{"callData": null}',
        b'{"callData": {"metaData": []}}',
        b'{"callData": {"metaData": {"id": null}}}',
        b'{"callData": {"metaData": {"id": true}}}',
        b'{"callData": {"metaData": {"id": ""}}}',
        b'{"callData": {"metaData": {"id": "a\\u0000b"}}}',
        b'{"callData": {"metaData": {"id": "\\ud800"}}}',
        b'{"callData": {"metaData": {"id": 123e-10000000}}}',
        b'{"callData": {"metaData": {"id": ' + b"9" * 5000 + b"}}}",
        b'{"callData": {"metaData": {"id": "' + b"x" * 500 + b'"}}}',
        b'{"isTest": "true"}',
    ],
)
def test_bytes_that_say_nothing_are_odd_and_nothing_worse(body: bytes) -> None:
    with pytest.raises(OddEventError):
        read_hint(body)
