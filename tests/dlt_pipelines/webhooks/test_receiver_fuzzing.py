"""The receiver against its own description, and against bodies that break parsers; all of it signed."""

import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Signed = Callable[..., dict[str, str]]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

# what the published suites of JSON parsers hold: numbers, escapes, structure, encodings, and things that are none
VALUES = [
    *(
        b"0",
        b"-0",
        b"-",
        b"+1",
        b"01",
        b"1.",
        b".5",
        b"1e9999",
        b"-1e-9999",
        b"123e-10000000",
        b"1E+",
        b"0x1F",
        b"1_000",
    ),
    *(b"NaN", b"Infinity", b"-Infinity", b"nan", b"True", b"nul", b"null", b"true", b"1 000", b"9" * 5_000),
    *(b'"\\u0000"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u00"', b'"\\x00"', b'"\\"', b'"', b"'a'", b'"\x00"'),
    *(
        b'"\n"',
        b'"\t"',
        b'"\x7f"',
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b'"\xf4\x90\x80\x80"',
        b'"\xe2\x80\xae"',
    ),
    *(b"[]", b"[", b"]", b"[1,]", b"[,1]", b"[1 2]", b"[[]", b"[" * 50_000, b"[" * 500 + b"]" * 500, b'[{"":' * 5_000),
    *(
        b"{}",
        b"{",
        b'{"a"}',
        b'{"a":}',
        b'{"a":1,}',
        b"{a:1}",
        b'{"a":1,"a":2}',
        b'{"\\u0000":1}',
        b"{1:1}",
        b'{"a" "b"}',
    ),
    *(
        b"",
        b" ",
        b"\x00",
        b"\xef\xbb\xbf{}",
        b"/* */ {}",
        b"{} {}",
        b"{}#",
        b"\xff\xfe{\x00}\x00",
        b"\x1e{}",
        b"\xf0\x9f",
    ),
    *(b'"' + b"a" * 1_000_000 + b'"', b'"\xe2\x80\xa8"', b'"\\/\\b\\f\\n\\r\\t"', b'"\\a"', b'"\\uD83D\\uDE00"'),
]
EMBEDDED = b'{"callData": {"metaData": {"id": %s, "started": %s}, "parties": %s}, "isTest": %s}'


class Sign(AuthBase):
    """Signs the bytes as they go out, the way a relay does."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body or b""
        raw = body if isinstance(body, bytes) else body.encode()
        request.headers["X-Gong-Signature"] = hmac.new(self._secret.encode(), raw, hashlib.sha256).hexdigest()
        return request


@pytest.fixture
def client(receiver: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=receiver.url, timeout=30) as client:
        yield client


def test_every_body_that_breaks_a_parser_is_stored_as_it_came(
    client: httpx.Client, inbox: psycopg.Connection, signed: Signed
) -> None:
    bodies = list(VALUES)
    for value in VALUES:
        bodies += [EMBEDDED % tuple(value if place == n else b'"1"' for place in range(4)) for n in range(4)]
    bodies = list(dict.fromkeys(bodies))
    statuses = {client.post("/webhooks/gong", content=body, headers=signed(body)).status_code for body in bodies}
    assert statuses == {202}
    stored = {row[0] for row in inbox.execute("select body from ops.webhook_inbox")}
    assert stored == set(bodies)


def test_the_receiver_keeps_to_its_own_description(
    receiver: Any, receiver_environment: dict[str, str], inbox: psycopg.Connection
) -> None:
    schema = schemathesis.openapi.from_dict(httpx.get(f"{receiver.url}/openapi.json").json())
    sign = Sign(receiver_environment["GONG_WEBHOOK_SECRET"].split(",")[0])
    statuses: Counter[int] = Counter()
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:

        @settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def answers_as_described(case: schemathesis.Case) -> None:
            # what is odd about a request may be its signature too: then it is refused
            answer = case.call(base_url=receiver.url, auth=sign)
            case.validate_response(answer, checks=CHECKS)
            statuses[answer.status_code] += 1

        answers_as_described()
    assert len(operations) == 6
    assert not [status for status in statuses if status >= 500]
    assert statuses[202] > 20, statuses
