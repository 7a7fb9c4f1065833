"""Every page as every role, and the same number on page, in the tool and in SQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "streamlit_app" / "app.py"
PAGES = {
    "overview": {},
    "queue": {},
    "rep": {"rep": "finch"},
    "call": {"call": "call-finch-05-0"},
    "reviews": {},
    "search": {"q": "price"},
    "compare": {"a": "call-finch-05-0", "b": "call-finch-06-0"},
    "leaderboard": {},
    "skills": {},
    "costs": {},
    "quality": {},
    "health": {},
}
TEAM_PAGES = ("leaderboard", "skills", "costs")


@pytest.fixture(autouse=True)
def _fresh_caches() -> Iterator[None]:
    """A page of one test must not be answered from another test's database."""
    st.cache_data.clear()
    st.cache_resource.clear()
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


def opened(page: str, parameters: dict[str, str] | None = None) -> AppTest:
    """The app on one page, run once."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in (parameters or {}).items():
        app.query_params[name] = value
    if page != "overview":
        app.switch_page(f"app_pages/{page}.py")
    return app.run()


def words(app: AppTest) -> str:
    """Everything a page says."""
    kinds = (app.title, app.markdown, app.caption, app.info, app.warning, app.error, app.success, app.subheader)
    parts = [element.value for kind in kinds for element in kind]
    parts += [f"{metric.label} {metric.value}" for metric in app.metric]
    return "\n".join(str(part) for part in parts)


@pytest.fixture
def as_viewer(monkeypatch: pytest.MonkeyPatch, desk_url: str) -> Any:
    def become(viewer: str, url: str = desk_url) -> None:
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("CALL_COACH_LOCAL_VIEWER", viewer)

    return become


@pytest.mark.parametrize("page", PAGES)
def test_a_page_answers_without_error_and_says_how_old_and_how_real_it_is(page: str, as_viewer: Any) -> None:
    as_viewer("admin")
    app = opened(page, PAGES[page])
    assert not app.exception
    assert not app.error
    said = words(app)
    assert "Data as of" in said
    assert "eligible calls scored" in said
    assert "Sandbox scores" in said
    assert "not for pay or dismissal" in said
    assert "Viewing as Admin" in said


@pytest.mark.parametrize("page", [page for page in PAGES if page not in TEAM_PAGES])
def test_a_rep_sees_no_colleague_on_any_page(page: str, as_viewer: Any) -> None:
    as_viewer("finch")
    app = opened(page, PAGES[page])
    assert not app.exception
    said = words(app) + str([box.options for box in app.selectbox])
    assert "Finch Sample" in said
    assert not [name for name in ("Wren", "Heron", "Dove", "Crane", "Swift") if name in said]


@pytest.mark.parametrize("page", ["rep", "call", "compare"])
def test_a_link_to_something_hidden_reads_like_a_link_to_nothing(page: str, as_viewer: Any) -> None:
    as_viewer("finch")
    hidden = {"rep": {"rep": "wren"}, "call": {"call": "call-wren-05-0"}, "compare": {"a": "call-wren-05-0"}}[page]
    unknown = dict.fromkeys(hidden, "no-such-thing")
    said = [words(opened(page, parameters)) for parameters in (hidden, unknown)]
    shown = next(iter(hidden.values()))
    assert "you may" in said[0]
    assert said[0].replace(shown, "X").replace(shown.replace("-", "\\-"), "X") == said[1].replace(
        "no-such-thing", "X"
    ).replace("no\\-such\\-thing", "X")


def test_nobody_is_let_in_unless_local_mode_is_switched_on(monkeypatch: pytest.MonkeyPatch, desk_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", desk_url)
    monkeypatch.delenv("CALL_COACH_LOCAL_VIEWER", raising=False)
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert "Nobody is signed in" in words(app)
    assert not app.metric


def test_where_sign_in_is_configured_local_mode_opens_nothing(as_viewer: Any) -> None:
    as_viewer("admin")
    app = AppTest.from_file(str(APP), default_timeout=60)
    app.secrets["auth"] = {"redirect_uri": "http://127.0.0.1/oauth2callback", "cookie_secret": "x" * 32}
    app.run()
    assert not app.exception
    assert [button.label for button in app.button] == ["Sign in"]
    assert not app.metric


@pytest.mark.parametrize("who", ["nobody@example.test", "gull"])
def test_a_stranger_and_someone_who_left_get_no_page(who: str, as_viewer: Any) -> None:
    as_viewer(who)
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert "No access" in words(app)
    assert not app.metric


def test_an_unbuilt_warehouse_and_a_missing_database_are_explained(as_viewer: Any, database_url: str) -> None:
    as_viewer("admin", database_url)
    assert "call-coach run" in words(AppTest.from_file(str(APP), default_timeout=60).run())
    st.cache_resource.clear()
    as_viewer("admin", "postgresql://nobody:nothing@127.0.0.1:9/none")
    said = words(AppTest.from_file(str(APP), default_timeout=60).run())
    assert "not reachable" in said
    assert "nothing@" not in said


def test_a_stale_moment_link_says_so_and_shows_the_call(as_viewer: Any) -> None:
    as_viewer("admin")
    app = opened("call", {"call": "call-finch-05-0", "moment": "gone"})
    assert "no longer has" in words(app)
    assert "Negotiation with Account 1" in words(app)


def test_a_manager_agrees_on_the_page_and_it_is_counted_at_once(as_viewer: Any, own_desk_url: str) -> None:
    as_viewer("robin", own_desk_url)
    app = opened("call", {"call": "call-finch-05-0"})
    app.button(next(button.key for button in app.button if str(button.key).startswith("disagree-"))).click().run()
    assert not app.exception
    assert "0 agree, 1 disagree" in words(app)
    quality = opened("quality")
    assert "n = 1 opinions" in words(quality)
    with psycopg.connect(own_desk_url) as connection:
        assert connection.execute("select viewer_id, verdict from ops.moment_reviews").fetchall() == [
            ("robin", "disagree")
        ]


def test_a_moment_marked_done_leaves_the_queue_and_can_come_back(as_viewer: Any, own_desk_url: str) -> None:
    as_viewer("robin", own_desk_url)
    app = opened("queue")
    before = next(text.value for text in app.caption if "open moments" in text.value)
    app.button(next(button.key for button in app.button if str(button.key).startswith("done-"))).click().run()
    after = next(text.value for text in app.caption if "open moments" in text.value)
    assert int(before.split()[0]) - int(after.split()[0]) == 1
    done = opened("queue", {"state": "done"})
    assert "by robin" in words(done)
    done.button(next(button.key for button in done.button if str(button.key).startswith("open-"))).click().run()
    assert "Nothing has been marked done yet" in words(done)


def test_a_large_team_is_read_one_role_at_a_time_and_a_small_one_at_once(as_viewer: Any, own_desk_url: str) -> None:
    as_viewer("admin", own_desk_url)

    def roles(**parameters: str) -> list[str]:
        st.cache_data.clear()
        return [heading.value for heading in opened("leaderboard", parameters).subheader]

    def join(name: str, how_many: int) -> None:
        with psycopg.connect(own_desk_url) as connection:
            connection.execute(
                "insert into marts.mart_leaderboard select (jsonb_populate_record(mart_leaderboard, "
                "jsonb_build_object('team_id', %s || nth, 'role', 'SE'))).* "
                "from marts.mart_leaderboard cross join generate_series(1, %s) as nth "
                "where rep_id = 'finch' and role = 'AE'",
                [name, how_many],
            )

    join("One", 1)
    assert roles() == ["Account executives", "Solutions engineers"]
    join("Many", 30)
    assert roles() == ["Account executives"]
    assert roles(role="SE") == ["Solutions engineers"]
    assert roles(role="all") == ["Account executives", "Solutions engineers"]


@pytest.mark.parametrize("page", ["overview", "queue", "rep", "call"])
def test_a_moment_that_could_go_better_shows_what_the_customer_had_said(page: str, as_viewer: Any) -> None:
    as_viewer("admin")
    assert "Customer before: “" in words(opened(page, PAGES[page]))


def test_a_call_shows_what_was_said_about_the_product_beside_the_passage(as_viewer: Any) -> None:
    as_viewer("admin")
    said = words(opened("call", {"call": "call-finch-03-0", "view": "Product"}))
    assert "Not right (1)" in said
    assert "Loads can be repeated without harm" in said
    assert said.index("Not right (1)") < said.index("Right (1)")
    assert "Not said (1)" in words(opened("call", {"call": "call-finch-05-0", "view": "Product"}))


@pytest.mark.parametrize(("wanted", "shown"), [("2", 2), ("999999", -1), ("x", 1), ("9" * 5_000, 1), ("-3", 1)])
def test_the_page_of_a_long_list_is_in_its_address(wanted: str, shown: int, as_viewer: Any) -> None:
    as_viewer("admin")
    app = opened("search", {"page": wanted})
    assert not app.exception
    total = int(next(text.value for text in app.caption if "calls fit" in text.value).split()[0])
    last = -(-total // 20)
    assert app.get("pagination")[0].proto.default == (last if shown == -1 else shown)


def test_a_search_for_nothing_but_small_words_says_so(as_viewer: Any) -> None:
    as_viewer("admin")
    app = opened("search", {"q": "the of and"})
    assert not app.exception
    assert "There is no word to search for" in words(app)


def test_text_from_a_call_is_never_markup(as_viewer: Any, own_desk_url: str) -> None:
    with psycopg.connect(own_desk_url) as connection:
        connection.execute("update marts.fct_evidence set quote = '<script>x</script> [link](http://x) :red[loud] $x$'")
        connection.execute("update marts.fct_turns set text = '<img src=x onerror=alert(1)> ' || text")
        connection.execute("update marts.fct_calls set title = 'Demo ![x](http://x/y.png)'")
    as_viewer("admin", own_desk_url)
    app = opened("call", {"call": "call-finch-05-0"})
    assert not app.exception
    assert [title.value for title in app.title] == ["Demo \\!\\[x\\]\\(http\u2060\\://x/y\\.png\\)"]
    quotes = [text.value for text in app.markdown if "script" in text.value]
    assert quotes
    assert all("\\<script\\>" in quote and "\\[link\\]" in quote and "\\:red" in quote for quote in quotes)
    transcript = opened("call", {"call": "call-finch-05-0", "view": "Transcript"})
    bodies = "".join(str(element.proto.body) for element in transcript.get("html"))
    assert "&lt;img" in bodies
    assert "<img" not in bodies
