import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import psycopg
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dlt_pipelines.errors import (
    ApiError,
    BadAnswerError,
    CursorLostError,
    KeyRejectedError,
    QuotaExhaustedError,
    ScopeMissingError,
    UnreachableError,
)
from dlt_pipelines.gong.client import GongClient
from dlt_pipelines.gong.settings import GongSettings
from dlt_pipelines.gong.simulator.server import base_url, in_thread
from dlt_pipelines.quota import Quota

Ask = Callable[..., Any]


@contextmanager
def answering(*responses: Response) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that gives these answers in turn, the last one for ever, and notes what it was asked."""
    asked: list[dict[str, Any]] = []

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        asked.append({"query": dict(request.query_params), "body": body, "headers": dict(request.headers)})
        return responses[min(len(asked), len(responses)) - 1]

    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])])
    with in_thread(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")) as server:
        yield base_url(server), asked


def json_response(text: str, status: int = 200, **headers: str) -> Response:
    return Response(text, status_code=status, headers=headers, media_type="application/json")


@pytest.fixture
def client(database_url: str) -> Iterator[Callable[[str], GongClient]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create schema if not exists raw_gong")

        def make(url: str, **settings: Any) -> GongClient:
            given = {"api_key": "key", "api_secret": "secret", "max_attempts": 3, "patience_s": 2, **settings}
            made = GongSettings(api_base_url=url, _env_file=None, **given)
            return GongClient(made, Quota(connection, schema="raw_gong", api=url, per_second=1000, per_day=1000))

        yield make


def ask(client: GongClient, method: str = "POST") -> list[Any]:
    pages = client.pages(
        method, "/v2/calls/extensive", stream="calls", where="a week", items_key="calls", body={"a": 1}
    )
    return [item for page in pages for item in page.items]


@pytest.mark.parametrize(
    "text",
    [
        "No calls found corresponding to the provided filters",
        "No answered scorecards found corresponding to the provided filters.",
        "No users found corresponding to the provided filters",
        "No folders found for the specified period",
    ],
)
def test_an_empty_result_is_a_404_that_says_so(client: Ask, text: str) -> None:
    with answering(json_response(f'{{"requestId":"x","errors":["{text}"]}}', 404)) as (url, _):
        assert ask(client(url)) == []


@pytest.mark.parametrize("body", ['{"errors":["Call ID 8944 was not found"]}', "<html>Not Found</html>", "{}"])
def test_any_other_404_is_an_error(client: Ask, body: str) -> None:
    with answering(json_response(body, 404)) as (url, _), pytest.raises(ApiError, match="GONG_API_BASE_URL"):
        ask(client(url))


def test_a_missing_scope_is_told_from_a_wrong_key(client: Ask) -> None:
    scope = '{"errors":["You don\'t have permission to use \'api:stats:interaction\' in your app."]}'
    with answering(json_response(scope, 401)) as (url, _), pytest.raises(ScopeMissingError) as missing:
        ask(client(url))
    assert missing.value.scope == "api:stats:interaction"
    with (
        answering(json_response('{"errors":["Unauthorized"]}', 401)) as (url, _),
        pytest.raises(KeyRejectedError, match="GONG_API_SECRET"),
    ):
        ask(client(url))


def test_the_cursor_travels_in_the_body_of_a_post_and_in_the_query_of_a_get(client: Ask) -> None:
    first = json_response('{"records":{"totalRecords":2,"cursor":"next"},"calls":[1]}')
    last = json_response('{"records":{"totalRecords":2},"calls":[2]}')
    with answering(first, last) as (url, asked):
        assert ask(client(url)) == [1, 2]
    assert [record["query"] for record in asked] == [{}, {}]
    assert [record["body"] for record in asked] == [b'{"a":1}', b'{"a":1,"cursor":"next"}']
    with answering(first, last) as (url, asked):
        assert ask(client(url), "GET") == [1, 2]
    assert [record["query"] for record in asked] == [{}, {"cursor": "next"}]


def test_a_repeated_cursor_ends_the_paging_with_an_error(client: Ask) -> None:
    with (
        answering(json_response('{"records":{"cursor":"same"},"calls":[1]}')) as (url, asked),
        pytest.raises(CursorLostError, match="same cursor"),
    ):
        ask(client(url))
    assert len(asked) == 2


def test_an_expired_cursor_is_recognised(client: Ask) -> None:
    with (
        answering(json_response('{"errors":["The provided cursor has expired"]}', 400)) as (url, _),
        pytest.raises(CursorLostError),
    ):
        ask(client(url))


def test_a_redirect_is_reported_and_never_followed(client: Ask) -> None:
    with (
        answering(Response(status_code=307, headers={"Location": "https://us-1.api.gong.example/v2"})) as (url, asked),
        pytest.raises(ApiError, match=r"us-1\.api\.gong\.example"),
    ):
        ask(client(url))
    assert len(asked) == 1


def test_a_short_retry_after_is_waited_for(client: Ask) -> None:
    limit = Response(status_code=429, headers={"Retry-After": "1"})
    began = time.monotonic()
    with answering(limit, json_response('{"calls":[1]}')) as (url, _):
        assert ask(client(url)) == [1]
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    "retry_after",
    ["7200", format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)],
    ids=["seconds", "date"],
)
def test_a_retry_after_of_hours_ends_the_load_at_once(client: Ask, retry_after: str) -> None:
    with (
        answering(Response(status_code=429, headers={"Retry-After": retry_after})) as (url, asked),
        pytest.raises(QuotaExhaustedError, match="GONG_PATIENCE_S"),
    ):
        ask(client(url))
    assert len(asked) == 1


def test_a_429_without_retry_after_is_repeated_with_growing_pauses(client: Ask) -> None:
    with answering(Response(status_code=429), json_response('{"calls":[1]}')) as (url, asked):
        assert ask(client(url)) == [1]
    assert len(asked) == 2


@pytest.mark.parametrize(
    "bad",
    [
        json_response('{"errors":["Internal server error occurred"]}', 500),
        Response("<html>Bad gateway</html>", status_code=502),
        Response('{"calls":[', media_type="application/json"),
        Response("", media_type="application/json"),
    ],
)
def test_a_passing_failure_is_repeated(client: Ask, bad: Response) -> None:
    with answering(bad, json_response('{"calls":[1]}')) as (url, _):
        assert ask(client(url)) == [1]


def test_a_lasting_failure_names_stream_window_and_what_to_do(client: Ask) -> None:
    with answering(Response(status_code=503)) as (url, asked), pytest.raises(ApiError) as failure:
        ask(client(url))
    assert len(asked) == 3
    for part in ("calls", "a week", "503", "run again"):
        assert part in str(failure.value)


def test_an_answer_of_another_api_is_refused(client: Ask) -> None:
    with answering(json_response('{"items":[]}')) as (url, _), pytest.raises(BadAnswerError, match="is Gong"):
        ask(client(url))


def test_nobody_listening_is_an_error_with_the_address(client: Ask) -> None:
    with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:9"):
        ask(client("http://127.0.0.1:9"))


def test_missing_credentials_are_named_before_any_request(client: Ask) -> None:
    with pytest.raises(KeyRejectedError, match="GONG_API_KEY and GONG_API_SECRET"):
        client("http://127.0.0.1:9", api_key="")


@pytest.mark.parametrize(
    "given", ["https://x.example", "https://x.example/", "https://x.example/v2", "https://x.example/v2/"]
)
def test_the_base_url_may_end_in_its_version(given: str) -> None:
    assert GongSettings(api_base_url=given, _env_file=None).api_base_url == "https://x.example"


def test_credentials_never_show_in_a_settings_text() -> None:
    assert "hunter2" not in repr(GongSettings(api_key="hunter2", api_secret="hunter2", _env_file=None))
