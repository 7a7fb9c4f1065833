import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dlt_pipelines.destination import (
    ColumnType,
    Table,
    TableFiles,
    TableWriter,
    cell,
    column_name,
    load_package,
)
from dlt_pipelines.errors import TypeFlipError


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("primaryUserId", "primary_user_id"),
        ("id", "id"),
        ("meetingURL", "meeting_url"),
        ("URLOfMeeting", "url_of_meeting"),
        ("hs_is_closed", "hs_is_closed"),
        ("with space-and.dots", "with_space_and_dots"),
        ("2fa", "_2fa"),
        ("__odd__", "odd"),
        ("x" * 80, "x" * 60),
        ("", "_"),
    ],
)
def test_fields_become_columns_in_the_form_that_dlt_leaves_alone(field: str, column: str) -> None:
    assert column_name(field) == column


@pytest.mark.parametrize(
    ("value", "column_type", "text"),
    [
        (None, "text", None),
        ("x", "text", "x"),
        (True, "bool", "true"),
        (1785, "bigint", "1785"),
        (1785.0, "bigint", "1785"),
        (0.1, "double", "0.1"),
        (3, "double", "3"),
        ("2026-11-03T15:00:00Z", "timestamp", "2026-11-03T15:00:00+00:00"),
        (datetime(2026, 11, 3, tzinfo=UTC), "timestamp", "2026-11-03T00:00:00+00:00"),
        ("2026-11-03", "date", "2026-11-03"),
        ({"b": 1, "a": "é"}, "json", '{"b":1,"a":"é"}'),
    ],
)
def test_values_become_what_copy_reads(value: Any, column_type: ColumnType, text: str | None) -> None:
    assert cell(value, column_type) == text


@pytest.mark.parametrize(
    ("value", "column_type"),
    [
        (1, "text"),
        (["x"], "text"),
        ("true", "bool"),
        (1, "bool"),
        ("1785", "bigint"),
        (1790.74, "bigint"),
        (True, "bigint"),
        (2**63, "bigint"),
        ("0.1", "double"),
        ("yesterday", "timestamp"),
        (1518863400, "timestamp"),
        ("soon", "date"),
    ],
)
def test_a_value_of_another_type_is_refused(value: Any, column_type: ColumnType) -> None:
    with pytest.raises(ValueError, match=column_type if isinstance(value, int | float | list) else None):
        cell(value, column_type)


def test_free_text_takes_anything() -> None:
    assert cell({"a": 1}, "text", is_free_text=True) == '{"a":1}'


def test_a_package_loads_whatever_form_the_database_url_has(database_url: str, tmp_path: Path) -> None:
    given = conninfo_to_dict(database_url)
    forms = [
        database_url,
        f"{database_url}?sslmode=disable&application_name=a%20b",
        make_conninfo(**given),
    ]
    for number, url in enumerate(forms):
        table = dataclasses.replace(TABLE, name=f"calls_{number}")
        writer = TableWriter(table, tmp_path, existing={})
        writer.write({"id": "1", "duration": 5})
        files = TableFiles(table=table, columns=table.columns, files=writer.take())
        load_package(database_url=url, dataset="raw_test", pipeline="test", tables=[files])
    with psycopg.connect(database_url) as connection:
        counts = connection.execute(
            "select (select count(*) from raw_test.calls_0), (select count(*) from raw_test.calls_1), "
            "(select count(*) from raw_test.calls_2)"
        ).fetchone()
    assert counts == (1, 1, 1)


TABLE = Table(name="calls", key=("id",), columns={"id": "text", "duration": "bigint"})


def test_a_new_field_starts_a_new_file_with_its_column(tmp_path: Path) -> None:
    writer = TableWriter(TABLE, tmp_path, existing={})
    writer.write({"id": "1", "duration": 5})
    writer.write({"id": "2", "surprise": True})
    writer.write({"id": "3", "duration": 7})
    files = writer.take()
    assert [(path.read_text(), rows) for path, rows in files] == [
        ("id,duration\n1,5\n", 1),
        ("id,duration,surprise\n2,,true\n3,7,\n", 2),
    ]
    assert writer.take() == []


def test_a_type_flip_names_table_key_column_and_both_types(tmp_path: Path) -> None:
    writer = TableWriter(TABLE, tmp_path, existing={})
    with pytest.raises(TypeFlipError, match=r'calls 7: duration is "long" \(str\), but the column is bigint'):
        writer.write({"id": "7", "duration": "long"})


def test_the_database_knows_better_than_the_code_what_a_column_holds(tmp_path: Path) -> None:
    writer = TableWriter(TABLE, tmp_path, existing={"surprise": "text"})
    with pytest.raises(TypeFlipError, match="surprise"):
        writer.write({"id": "1", "surprise": 1})
