import json
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dagster_project.reviews.settings import ReviewSettings
from dagster_project.reviews.weekly import ReviewReport, review_week

WEEK = date(2026, 11, 9)


def settings(mail: Any = None, slack: Any = None, **more: Any) -> ReviewSettings:
    return ReviewSettings(
        smtp_url=mail.url if mail else None,
        slack_webhook_url=slack.url if slack else None,
        mail_from="Call coach <coach@example.com>",
        leaders=("lea.leader@example.com",),
        **more,
    )


def run(url: str, folder: Path, chosen: ReviewSettings, **options: Any) -> ReviewReport:
    return review_week(
        database_url=url,
        week_start=WEEK,
        settings=chosen,
        folder=folder,
        **{"deliver": True, "with_pictures": False, **options},
    )


def deliveries(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select reviews.kind, channel, address, status from ops.review_deliveries as deliveries "
            "inner join ops.reviews as reviews using (review_id) where channel <> 'file' order by 1, 2, 3"
        ).fetchall()


def test_without_credentials_everything_is_in_files_and_nothing_is_sent(warehouse_url: str, tmp_path: Path) -> None:
    report = run(warehouse_url, tmp_path, settings())
    assert (report.reps, report.teams, report.leadership) == (3, 2, 1)
    assert (report.sent, report.failed) == (0, 0)
    names = {path.name for path in (tmp_path / "2026-11-09").iterdir()}
    for who in ("rep-ada", "rep-bruno", "rep-greta", "team-north", "team-south", "leadership-leadership"):
        assert {f"{who}.md", f"{who}.html", f"{who}.slack.json", f"{who}.eml"} <= names
    assert deliveries(warehouse_url) == []


def test_a_rep_gets_their_own_review_and_a_manager_their_teams(
    warehouse_url: str, tmp_path: Path, mail_server: Any, slack_server: Any
) -> None:
    report = run(warehouse_url, tmp_path, settings(mail_server, slack_server))
    assert (report.sent, report.failed, report.problems) == (7, 0, ())
    names = {"ada": "Ada Exemplar", "bruno": "Bruno Testa", "greta": "Greta Stubb"}
    members = {"north@example.com": {"ada", "bruno"}, "south@example.com": {"greta"}}
    by_recipient = {mail["To"]: mail for mail in mail_server.mails}
    assert sorted(by_recipient) == sorted(mail_server.recipients)
    assert set(by_recipient) == {*(f"{rep}@example.com" for rep in names), *members, "lea.leader@example.com"}
    for address, mail in by_recipient.items():
        text = mail.get_body(("plain",)).get_content() + mail.get_body(("html",)).get_content()
        allowed = members.get(address, {address.split("@")[0]})
        for rep, name in names.items():
            assert (name in text) == (rep in allowed), f"{name} in the mail to {address}"
    (posted,) = slack_server.messages
    assert not [name for name in names.values() if name in json.dumps(posted)]


def test_a_review_names_what_went_well_what_to_tighten_and_one_exercise(warehouse_url: str, tmp_path: Path) -> None:
    run(warehouse_url, tmp_path, settings(), deliver=False)
    text = (tmp_path / "2026-11-09" / "rep-ada.md").read_text()
    for expected in (
        "6 calls, 6 scored. Discovery is improving.",
        "> “A sentence of Ada Exemplar about the strength”",
        "[Call ada-0, 10 November 2026, at 3:10](https://app.gong.io/call?id=ada-0)",
        "Say the number, Ada.",
        "It was so in 1 of 6 calls of the last four weeks",
        "> A moment where it was missing. Say the number, Ada.",
        "“What does it cost you?”",
        "| Discovery | 58 (n 6) | 57 (n 10, 49 to 66) | improving |",
        "[Call ada-5, 12 November 2026](https://app.gong.io/call?id=ada-5): your best of the week",
        "not for pay or dismissal",
    ):
        assert expected in text
    other = (tmp_path / "2026-11-09" / "rep-bruno.md").read_text()
    assert "no clear change" in other


def test_a_managers_review_has_queue_movers_common_gaps_and_coverage(warehouse_url: str, tmp_path: Path) -> None:
    run(warehouse_url, tmp_path, settings(), deliver=False)
    text = (tmp_path / "2026-11-09" / "team-north.md").read_text()
    for expected in (
        "5 of 6 that could be scored were (83 %)",
        "A queued sentence of Ada Exemplar",
        "Ada Exemplar is improving in discovery: 57 (n 10, 49 to 66)",
        "Problem depth (discovery): level 2.0 of 5 over 12 scored calls of 2 reps",
        "| Bruno Testa | 6 |",
    ):
        assert expected in text
    page = (tmp_path / "2026-11-09" / "leadership-leadership.md").read_text()
    assert "Claude: $3.25 for 40 requests (1 failed)" in page
    assert "62 (n 12)" in page


def test_a_score_below_five_calls_is_not_shown(warehouse_url: str, tmp_path: Path) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute("update marts.mart_rep_trends set rolling_n = 4, signal = 'too few calls'")
    run(warehouse_url, tmp_path, settings(), deliver=False)
    text = (tmp_path / "2026-11-09" / "rep-ada.md").read_text()
    assert "too few (n 4)" in text
    assert "57" not in text


def test_sandbox_scores_say_so(warehouse_url: str, tmp_path: Path) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute("update marts.fct_calls set is_sandbox = true")
    run(warehouse_url, tmp_path, settings(), deliver=False)
    for path in (tmp_path / "2026-11-09").glob("*.md"):
        assert "they are not Claude's" in path.read_text()


def test_a_week_without_calls_is_quiet(warehouse_url: str, tmp_path: Path, mail_server: Any) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute("delete from marts.fct_calls")
    assert run(warehouse_url, tmp_path, settings(mail_server)).sent == 0
    assert mail_server.raw == []


def test_a_second_run_sends_nothing_again_even_if_the_numbers_moved(
    warehouse_url: str, tmp_path: Path, mail_server: Any, slack_server: Any
) -> None:
    chosen = settings(mail_server, slack_server)
    run(warehouse_url, tmp_path, chosen)
    before = list(mail_server.raw)
    again = run(warehouse_url, tmp_path, chosen)
    assert (again.sent, again.sent_before) == (0, 7)
    with psycopg.connect(warehouse_url) as connection:
        connection.execute("update marts.mart_rep_trends set mean_score = 12")
    moved = run(warehouse_url, tmp_path, chosen)
    assert (moved.sent, moved.sent_before) == (0, 7)
    assert mail_server.raw == before
    assert len(slack_server.messages) == 1


def test_a_forced_run_sends_the_same_bytes(warehouse_url: str, tmp_path: Path, mail_server: Any) -> None:
    chosen = settings(mail_server)
    run(warehouse_url, tmp_path, chosen, with_pictures=True)
    first = sorted(mail_server.raw)
    mail_server.raw.clear()
    assert run(warehouse_url, tmp_path, chosen, with_pictures=True, force=True).sent == 6
    assert sorted(mail_server.raw) == first


def test_a_run_without_the_word_deliver_sends_nothing(
    warehouse_url: str, tmp_path: Path, mail_server: Any, slack_server: Any
) -> None:
    report = run(warehouse_url, tmp_path, settings(mail_server, slack_server), deliver=False)
    assert (report.sent, report.reps) == (0, 3)
    assert (mail_server.raw, slack_server.messages) == ([], [])


def test_what_a_server_refused_is_logged_and_sent_by_the_next_run(
    warehouse_url: str, tmp_path: Path, mail_server: Any, slack_server: Any
) -> None:
    chosen = settings(mail_server, slack_server)
    mail_server.is_refusing, slack_server.status = True, 500
    report = run(warehouse_url, tmp_path, chosen)
    assert (report.sent, report.failed) == (0, 7)
    assert "try again later" in " ".join(report.problems)
    assert "secret-part" not in " ".join(report.problems)
    assert {row[3] for row in deliveries(warehouse_url)} == {"failed"}
    mail_server.is_refusing, slack_server.status = False, 200
    assert run(warehouse_url, tmp_path, chosen).sent == 7
    assert {row[3] for row in deliveries(warehouse_url)} == {"sent"}


def test_an_interrupted_delivery_is_not_repeated_by_itself(
    warehouse_url: str, tmp_path: Path, mail_server: Any
) -> None:
    chosen = settings(mail_server)
    run(warehouse_url, tmp_path, chosen)
    with psycopg.connect(warehouse_url) as connection:
        connection.execute("update ops.review_deliveries set status = 'sending' where address = 'ada@example.com'")
    mail_server.raw.clear()
    assert run(warehouse_url, tmp_path, chosen).sent == 0
    assert run(warehouse_url, tmp_path, chosen, force=True).sent == 6


def test_the_mail_has_a_plain_twin_and_its_pictures_inline(
    warehouse_url: str, tmp_path: Path, mail_server: Any
) -> None:
    run(warehouse_url, tmp_path, settings(mail_server), with_pictures=True)
    mail = next(mail for mail in mail_server.mails if mail["To"] == "ada@example.com")
    assert mail.get_content_type() == "multipart/alternative"
    assert mail["Subject"] == "Your week of 9 November 2026"
    page = mail.get_body(("html",)).get_content()
    assert len(page) < 102_000
    pictures = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert pictures
    for picture in pictures:
        assert picture.get_content().startswith(b"\x89PNG")
        assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in page
    assert "data:" not in page


def test_a_rep_without_a_usable_address_is_reported_and_holds_nobody_up(
    warehouse_url: str, tmp_path: Path, mail_server: Any
) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute("update marts.dim_reps set email = null where rep_id = 'ada'")
        connection.execute(
            "update marts.dim_reps set email = E'b@x.example\nBcc: all@x.example' where rep_id = 'bruno'"
        )
    report = run(warehouse_url, tmp_path, settings(mail_server))
    assert report.sent == 4
    assert [problem.split(" has ")[0] for problem in report.problems] == [
        "The rep review for ada",
        "The rep review for bruno",
    ]


def test_reviews_are_kept_once_per_version(warehouse_url: str, tmp_path: Path) -> None:
    for _ in range(2):
        run(warehouse_url, tmp_path, settings(), deliver=False)
    with psycopg.connect(warehouse_url) as connection:
        assert connection.execute("select count(*) from ops.reviews").fetchone() == (6,)
        connection.execute("update marts.mart_rep_trends set mean_score = 12 where rep_id = 'ada'")
    run(warehouse_url, tmp_path, settings(), deliver=False)
    with psycopg.connect(warehouse_url) as connection:
        assert connection.execute("select count(*) from ops.reviews").fetchone() == (7,)


@pytest.mark.parametrize("value", ["https://mail.example.com", "mail.example.com:25"])
def test_a_wrong_mail_address_is_named_at_the_start(value: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URL"):
        ReviewSettings(smtp_url=value)
