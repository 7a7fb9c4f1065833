from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from knowledge.documents import load_documents
from knowledge.metrics import Metric, load_metrics
from knowledge.models import load_models
from knowledge.publish import publish
from knowledge.rubrics import RUBRICS_FOLDER, load_rubrics


@pytest.fixture
def rubric_folder(tmp_path: Path) -> Path:
    for path in RUBRICS_FOLDER.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def rows(connection: psycopg.Connection, statement: str) -> list[tuple]:
    return connection.execute(statement).fetchall()


def test_publishing_writes_every_rubric_document_price_and_metric(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        report = publish(connection)
        assert report.rubrics_added == len(load_rubrics()) == 4
        assert report.documents_added == len(load_documents()) == 6
        assert report.prices_written == sum(len(model.prices) for model in load_models().models)
        assert report.metrics_written == len(load_metrics())
        stored = rows(connection, "select dimension, rubric_version, body from knowledge.rubrics where is_current")
        assert {(dimension, version) for dimension, version, _ in stored} == {
            (rubric.dimension, rubric.rubric_version) for rubric in load_rubrics()
        }
        body = next(body for dimension, _, body in stored if dimension == "discovery")
        assert body["criteria"][0]["markers"][0]["marker_id"] == "ds1_asks_problem"
        assert rows(connection, "select count(*) from knowledge.model_prices where is_sandbox") == [(2,)]


def test_publishing_twice_writes_nothing(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        publish(connection)
        before = rows(connection, "select xmin::text, loaded_at from knowledge.rubrics order by 1")
        before += rows(connection, "select xmin::text, loaded_at from knowledge.documents order by 1")
        before += rows(connection, "select xmin::text, loaded_at from knowledge.model_prices order by 1")
        before += rows(connection, "select xmin::text, loaded_at from knowledge.metrics order by 1")
        assert publish(connection).is_unchanged
        after = rows(connection, "select xmin::text, loaded_at from knowledge.rubrics order by 1")
        after += rows(connection, "select xmin::text, loaded_at from knowledge.documents order by 1")
        after += rows(connection, "select xmin::text, loaded_at from knowledge.model_prices order by 1")
        after += rows(connection, "select xmin::text, loaded_at from knowledge.metrics order by 1")
    assert before == after


def test_a_changed_file_is_a_new_version_and_the_old_one_stays(database_url: str, rubric_folder: Path) -> None:
    with psycopg.connect(database_url) as connection:
        publish(connection, rubrics=load_rubrics(rubric_folder))
        path = rubric_folder / "discovery.yaml"
        path.write_text(path.read_text(encoding="utf-8").replace("title: Discovery", "title: Finding out"))
        report = publish(connection, rubrics=load_rubrics(rubric_folder))
        assert (report.rubrics_added, report.rubrics_retired) == (1, 1)
        versions = rows(
            connection,
            "select title, is_current from knowledge.rubrics where dimension = 'discovery' order by is_current",
        )
        assert versions == [("Discovery", False), ("Finding out", True)]


def test_new_weights_change_the_version_that_stands(database_url: str, rubric_folder: Path) -> None:
    with psycopg.connect(database_url) as connection:
        publish(connection, rubrics=load_rubrics(rubric_folder))
        path = rubric_folder / "discovery.yaml"
        text = path.read_text(encoding="utf-8").replace("AE: 35", "AE: 36", 1).replace("AE: 25", "AE: 24", 1)
        path.write_text(text, encoding="utf-8")
        publish(connection, rubrics=load_rubrics(rubric_folder))
        weights = (
            "select body -> 'criteria' -> 0 -> 'weights' ->> 'AE' from knowledge.rubrics where dimension = 'discovery'"
        )
        assert rows(connection, weights) == [("36",)]


def test_a_version_that_comes_back_is_current_again_without_a_new_row(database_url: str, rubric_folder: Path) -> None:
    path = rubric_folder / "discovery.yaml"
    first = path.read_text(encoding="utf-8")
    with psycopg.connect(database_url) as connection:
        publish(connection, rubrics=load_rubrics(rubric_folder))
        path.write_text(first.replace("what hurts", "what is hard"), encoding="utf-8")
        publish(connection, rubrics=load_rubrics(rubric_folder))
        path.write_text(first, encoding="utf-8")
        report = publish(connection, rubrics=load_rubrics(rubric_folder))
        assert (report.rubrics_added, report.rubrics_retired) == (1, 1)
        assert rows(
            connection,
            "select count(*), count(*) filter (where is_current) from knowledge.rubrics where dimension = 'discovery'",
        ) == [(2, 1)]


def test_a_removed_dimension_has_no_current_version(database_url: str, rubric_folder: Path) -> None:
    with psycopg.connect(database_url) as connection:
        publish(connection, rubrics=load_rubrics(rubric_folder))
        (rubric_folder / "engagement.yaml").unlink()
        assert publish(connection, rubrics=load_rubrics(rubric_folder)).rubrics_retired == 1
        assert rows(connection, "select is_current from knowledge.rubrics where dimension = 'engagement'") == [(False,)]


def test_a_removed_page_has_no_current_version(database_url: str) -> None:
    documents = load_documents()
    with psycopg.connect(database_url) as connection:
        publish(connection, documents=documents)
        assert publish(connection, documents=documents[:-1]).documents_retired == 1


def test_a_corrected_price_replaces_the_wrong_one(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        publish(connection)
        connection.execute("update knowledge.model_prices set input_usd_per_mtok = 99 where model = 'claude-haiku-4-5'")
        assert publish(connection).prices_written == 1
        assert rows(
            connection, "select input_usd_per_mtok from knowledge.model_prices where model = 'claude-haiku-4-5'"
        ) == [(1,)]


def test_a_failure_in_the_middle_leaves_everything_as_it_was(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("alter table knowledge.model_prices add constraint refuse check (model <> 'sandbox')")
        with pytest.raises(psycopg.errors.CheckViolation):
            publish(connection)
        assert rows(connection, "select count(*) from knowledge.rubrics") == [(0,)]


def test_four_at_once_write_each_version_once(database_url: str) -> None:
    def run(_: int) -> int:
        with psycopg.connect(database_url) as connection:
            return publish(connection).rubrics_added

    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(run, range(4)))
    assert sorted(added) == [0, 0, 0, 4]
    with psycopg.connect(database_url) as connection:
        assert rows(connection, "select count(*) from knowledge.rubrics where is_current") == [(4,)]


def test_a_metric_is_corrected_in_place_and_leaves_with_its_entry(database_url: str) -> None:
    kept, dropped = load_metrics()[:2]
    with psycopg.connect(database_url) as connection:
        publish(connection, metrics=[kept, dropped])
        corrected = Metric(**{**kept.model_dump(), "caution": "Read the quotes."})
        assert publish(connection, metrics=[corrected]).metrics_written == 2
        assert rows(connection, "select metric, caution from knowledge.metrics") == [(kept.metric, "Read the quotes.")]
