"""The dashboard in a real browser: clicks, links, Back, dark, a phone's width, axe, and a database that goes away."""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest

from dagster_project.database.migrate import migrate
from dagster_project.local import postgres

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
PAGES = {
    "overview": "/",
    "queue": "/queue",
    "rep": "/rep?rep=finch",
    "talking": "/rep?rep=finch&view=How+they+talk",
    "call": "/call?call=call-finch-05-0",
    "transcript": "/call?call=call-finch-05-0&view=Transcript",
    "product": "/call?call=call-finch-03-0&view=Product",
    "brief": "/call?call=call-finch-05-0&view=Brief",
    "reviews": "/reviews",
    "search": "/search?q=price",
    "compare": "/compare?a=call-finch-05-0&b=call-wren-05-0",
    "leaderboard": "/leaderboard",
    "skills": "/skills",
    "costs": "/costs",
    "quality": "/quality",
    "health": "/health",
}
# Streamlit's own: sections of the navigation, sparklines without a name, scrolling containers
STREAMLITS_OWN = {
    "list",
    "listitem",
    "svg-img-alt",
    "scrollable-region-focusable",
}
STALE = (
    "/rep?rep=nobody",
    "/call?call=nothing",
    "/leaderboard?dimension=charm",
    "/call?call=call-finch-05-0&moment=gone",
)
OURS = re.compile(r"(http|ws)://127\.0\.0\.1|data:|blob:")
CARDS = "[class*=st-key-queue-card-]"
NOT_OPEN = "select moment_id from ops.queue_marks where mark = 'done' or snoozed_until > current_date"
# where a table is downloaded, and what the warehouse holds in its columns
CSVS = {
    "queue": (
        "/queue",
        "select moment_id, rep_id, dimension, quote, round(priority_points::numeric, 1)::float as priority_points "
        f"from marts.mart_coaching_queue where moment_id not in ({NOT_OPEN})",
    ),
    "leaderboard": (
        "/leaderboard?dimension=objections&window=28",
        "select rep_id, n_calls, tier, round(score, 1)::float as score from marts.mart_leaderboard "
        "where dimension = 'objections' and window_days = 28",
    ),
    "transcript": (
        "/call?call=call-finch-05-0&view=Transcript",
        "select turn_id, speaker_label, start_ms, text from marts.fct_turns where call_id = 'call-finch-05-0'",
    ),
    "overview": (
        "/",
        "select distinct on (rep_id, dimension) rep_id, dimension, signal, rolling_n from marts.mart_rep_trends "
        "where dimension <> 'call_brief' order by rep_id, dimension, week_start desc",
    ),
    "skills": (
        "/skills?window=28&dimension=discovery",
        "select rep_id, criterion_id, n_applicable, rubric_version from marts.mart_skill_gaps "
        "where window_days = 28 and dimension = 'discovery'",
    ),
    "search": (
        "/search?rep=finch&type=demo",
        "select call_id, title, account_name from marts.fct_calls where rep_id = 'finch' and call_type = 'demo'",
    ),
    "moments": (
        "/call?call=call-finch-05-0",
        "select evidence_id, quote, polarity from marts.fct_evidence where call_id = 'call-finch-05-0' and is_current",
    ),
    "health": (
        "/health",
        "select day, n_calls, n_scored_calls, n_failed_scores from marts.mart_pipeline_health "
        "where day > (now() at time zone 'UTC')::date - 28",
    ),
    "quality": (
        "/quality",
        "select rubric_version, n_quotes, n_quotes_verified from marts.mart_judge_quality",
    ),
}
QUICK_CSVS = ("queue", "leaderboard", "transcript")
WIDTHS = "[document.documentElement, document.querySelector('[data-testid=stMain]')].map((part) => part.scrollWidth)"
READY_MS = 60_000
Dashboard = Callable[..., AbstractContextManager[str]]
Settled = Callable[[Any], Any]
Opened = Callable[[Any, str], Any]


@pytest.fixture(scope="module")
def site(dashboard: Dashboard, module_desk_url: str) -> Iterator[str]:
    with dashboard(module_desk_url) as url:
        yield url


def expect_count(found: Any, n: int) -> None:
    """Waits until so many of them are on the page."""
    from playwright.sync_api import expect

    expect(found).to_have_count(n, timeout=READY_MS)


def text_of(page: Any) -> str:
    return str(page.inner_text("[data-testid=stMain]"))


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_page_draws_without_error_and_asks_no_other_host(name: str, site: str, page: Any, opened: Opened) -> None:
    foreign: list[str] = []
    page.on("request", lambda request: foreign.append(request.url) if not OURS.match(request.url) else None)
    opened(page, site + PAGES[name])
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.locator("[data-testid=stAlertContentError]").count() == 0
    assert "Data as of" in text_of(page)
    assert "Sandbox scores" in text_of(page)
    assert not foreign


def test_from_the_team_to_the_quoted_moment_in_three_clicks(
    site: str, page: Any, opened: Opened, settled: Settled
) -> None:
    opened(page, site + "/?team=robin")
    page.get_by_role("link", name=re.compile("^Finch Sample")).first.click()
    page.wait_for_url(re.compile("/rep"))
    settled(page)
    assert page.inner_text("h1") == "Finch Sample"
    page.get_by_role("link", name=re.compile(r"\d\d:\d\d on ")).first.click()
    page.wait_for_url(re.compile("/call.*moment="))
    settled(page)
    assert "The moment" in text_of(page)
    assert page.locator("mark").count() >= 1
    page.go_back()
    page.wait_for_url(re.compile("/rep"))
    settled(page)
    assert page.inner_text("h1") == "Finch Sample"
    page.go_back()
    settled(page)
    assert "team=robin" in page.url
    assert "Crane Sample" not in text_of(page)


def test_a_choice_goes_into_the_address_and_back_undoes_it(
    site: str, page: Any, opened: Opened, settled: Settled
) -> None:
    opened(page, site + "/leaderboard")
    page.get_by_role("radio", name="Engagement").or_(page.get_by_role("button", name="Engagement")).first.click()
    page.wait_for_url(re.compile("dimension=engagement"))
    settled(page)
    fresh = page.context.new_page()
    opened(fresh, page.url)
    assert text_of(fresh).split("Account executives")[1] == text_of(page).split("Account executives")[1]
    page.go_back()
    page.wait_for_url(lambda url: "dimension=" not in url)
    settled(page)
    assert "dimension=" not in page.url


def test_an_admin_of_this_machine_sees_what_a_rep_sees_and_comes_back(
    site: str, page: Any, opened: Opened, settled: Settled
) -> None:
    def look(person: str) -> str:
        page.get_by_role("button", name="Look through someone's eyes").click()
        page.get_by_role("combobox", name="Person").click()
        page.get_by_role("option", name=re.compile(f"^{person}")).click()
        page.get_by_role("dialog").wait_for(state="detached")
        settled(page)
        return str(page.inner_text("[data-testid=stSidebar]"))

    opened(page, site + "/queue?rep=crane")
    sidebar = look("Finch Sample")
    assert "Viewing as Finch Sample (rep), sees your own calls" in sidebar
    assert "Leaderboard" not in sidebar
    assert "Crane Sample" not in text_of(page)
    assert "Viewing as Admin (admin), sees everyone's calls" in look("Your own")


@pytest.mark.parametrize("path", STALE)
def test_a_stale_link_says_so(path: str, site: str, page: Any, opened: Opened) -> None:
    opened(page, site + path)
    assert page.locator("[data-testid=stAlert]").count() >= 1
    assert page.locator("[data-testid=stException]").count() == 0


def test_a_moment_snoozed_with_a_note_is_away_until_its_day_and_then_back(
    site: str, module_desk_url: str, page: Any, opened: Opened
) -> None:
    opened(page, site + "/queue")
    card = page.locator(CARDS).first
    moment = str(card.get_attribute("class")).split("st-key-queue-card-")[1].split()[0]
    same = page.locator(f".st-key-queue-card-{moment}")
    card.get_by_role("button", name="Snooze").click()
    page.get_by_role("textbox", name="Note").fill("After the launch.")
    page.get_by_role("button", name="2 weeks").click()
    expect_count(same, 0)
    with psycopg.connect(module_desk_url) as connection:
        stored = connection.execute(
            "select viewer_id, mark, snoozed_until, note from ops.queue_marks where moment_id = %s", [moment]
        ).fetchall()
        day = datetime.now(UTC).date() + timedelta(days=14)
        assert stored == [("admin", "snoozed", day, "After the launch.")]
        opened(page, site + "/queue?state=snoozed")
        assert f"Snoozed until {day.day} {day:%b %Y} by admin" in same.inner_text()
        assert "After the launch." in same.inner_text()
        connection.execute("update ops.queue_marks set snoozed_until = current_date where moment_id = %s", [moment])
    opened(page, site + "/queue")
    # another mark makes the desk look again, which it otherwise does once a minute
    page.locator(CARDS).last.get_by_role("button", name="Done").click()
    expect_count(same, 1)
    assert page.locator(CARDS).first.get_attribute("class") == same.get_attribute("class")


@pytest.mark.parametrize(
    "name", [name if name in QUICK_CSVS else pytest.param(name, marks=pytest.mark.slow) for name in CSVS]
)
def test_a_downloaded_table_holds_the_rows_of_its_view(
    name: str, site: str, module_desk_url: str, page: Any, opened: Opened
) -> None:
    path, statement = CSVS[name]
    opened(page, site + path)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").first.click()
    assert download.value.suggested_filename.endswith(".csv")
    written = pd.read_csv(download.value.path(), dtype=object, keep_default_na=False)
    with psycopg.connect(module_desk_url) as connection:
        held = connection.execute(statement)
        columns = [column.name for column in held.description or ()]
        expected = [tuple("" if value is None else str(value) for value in row) for row in held]
    assert set(columns) <= set(written.columns)
    assert sorted(written[columns].itertuples(index=False, name=None)) == sorted(expected)
    assert expected


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_phone_needs_no_sideways_scrolling(name: str, site: str, browser: Any, opened: Opened) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = opened(context.new_page(), site + PAGES[name])
    widths = page.evaluate(WIDTHS)
    context.close()
    assert max(widths) <= 391


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious_of_ours(name: str, scheme: str, site: str, browser: Any, opened: Opened) -> None:
    axe = Path(os.environ.get("CALL_COACH_CONFORMANCE", "")) / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed: npm i axe-core in the folder that CALL_COACH_CONFORMANCE names")
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = opened(context.new_page(), site + PAGES[name])
    page.add_script_tag(path=str(axe))
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    context.close()
    serious = {
        violation["id"]: [node["target"] for node in violation["nodes"]][:3]
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical") and violation["id"] not in STREAMLITS_OWN
    }
    assert not serious


def test_a_database_that_stops_is_explained_and_its_return_needs_no_restart(
    tmp_path_factory: pytest.TempPathFactory,
    fill_company: Callable[[str], None],
    page: Any,
    opened: Opened,
    dashboard: Dashboard,
) -> None:
    folder = tmp_path_factory.mktemp("stopping")
    server = postgres.start(folder)
    name = f"stop_{uuid.uuid4().hex[:8]}"
    url = postgres.ensure_database(server, name)
    migrate(url)
    fill_company(url)
    with dashboard(url) as site:
        opened(page, site)
        assert "Data as of" in text_of(page)
        postgres.stop(folder)
        opened(page, site + "/skills")
        assert "database is not reachable" in text_of(page)
        assert "Traceback" not in text_of(page)
        postgres.start(folder)
        page.get_by_role("button", name="Try again").click()
        page.wait_for_function("() => document.body.innerText.includes('Data as of')", timeout=READY_MS)
    postgres.stop(folder)
