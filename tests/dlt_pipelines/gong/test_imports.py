import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlt_pipelines.gong.simulator.tenant import Tenant
from dlt_pipelines.imports import ImportFailedError, import_path
from dlt_pipelines.report import LoadReport

Load = Callable[..., LoadReport]
Rows = Callable[..., list[dict[str, Any]]]

VTT = "WEBVTT\n\n00:01.000 --> 00:03.000\n<v Dana Reed>Hello.\n\n00:04.000 --> 00:09.000\n<v Lee Park>Too expensive.\n"
SIDECAR = "rep: Dana Reed\nstarted: 2026-11-03T15:00:00Z\nrep_email: dana@seller.example\naccount: Acme\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "acme.vtt").write_text(VTT)
    (tmp_path / "acme.yaml").write_text(SIDECAR)
    return tmp_path


def test_a_transcript_file_becomes_a_call_like_any_other(database_url: str, folder: Path, rows: Rows) -> None:
    report = import_path(database_url=database_url, path=folder / "acme.vtt")
    assert report.problems == ()
    call = rows("select * from raw_gong.calls")[0]
    user = rows("select * from raw_gong.users")[0]
    assert (call["title"], call["duration"], call["system"]) == ("acme", 9, "Import")
    assert call["primary_user_id"] == user["id"]
    assert (user["first_name"], user["email_address"], user["title"]) == (
        "Dana",
        "dana@seller.example",
        "Account Executive",
    )
    assert [(party["name"], party["affiliation"], party.get("userId")) for party in call["parties"]] == [
        ("Dana Reed", "Internal", user["id"]),
        ("Lee Park", "External", None),
    ]
    assert call["context"][0]["objects"][0]["fields"] == [{"name": "Name", "value": "Acme"}]
    transcript = rows("select * from raw_gong.transcripts")[0]
    assert transcript["call_id"] == call["id"]
    assert transcript["transcript"][1]["sentences"] == [{"start": 4000, "end": 9000, "text": "Too expensive."}]
    assert transcript["transcript"][1]["speakerId"] == call["parties"][1]["speakerId"]


def test_importing_again_writes_nothing_and_a_correction_replaces_its_call(
    database_url: str, folder: Path, rows: Rows
) -> None:
    import_path(database_url=database_url, path=folder)
    assert import_path(database_url=database_url, path=folder).rows_written == 0
    (folder / "acme.vtt").write_text(VTT.replace("Too expensive", "Fine"))
    report = import_path(database_url=database_url, path=folder)
    assert report.streams["transcripts"].rows_written == 1
    assert rows("select transcript #>> '{1,sentences,0,text}' as text from raw_gong.transcripts") == [{"text": "Fine."}]


def test_a_folder_imports_every_file_it_can_and_names_the_others(database_url: str, folder: Path, rows: Rows) -> None:
    (folder / "b.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nDana Reed: Hi\n")
    (folder / "b.json").write_text(json.dumps({"rep": "Dana Reed", "started": "2026-11-04T15:00:00"}))
    (folder / "c.txt").write_text("Dana Reed: Hi\n")
    (folder / "d.txt").write_text("Dana Reed: Hi\n")
    (folder / "d.yaml").write_text("rep: Somebody Else\nstarted: 2026-11-04\n")
    (folder / "e.txt").write_text("Dana Reed: Hi\n")
    (folder / "e.yaml").write_text("rep: Dana Reed\nwhen: 2026-11-04\n")
    (folder / "f.txt").write_bytes(b"Dana Reed: \xff\xfe\n")
    (folder / "f.yaml").write_text(SIDECAR)
    report = import_path(database_url=database_url, path=folder)
    assert report.is_partial
    found = {problem.key: problem.what for problem in report.problems}
    assert found.keys() == {"c.txt", "d.txt", "e.txt", "f.txt"}
    assert "no sidecar" in found["c.txt"]
    assert "'Dana Reed'" in found["d.txt"]
    assert "started" in found["e.txt"]
    assert "when" in found["e.txt"]
    assert "UTF-8" in found["f.txt"]
    assert rows("select title from raw_gong.calls order by 1") == [{"title": "acme"}, {"title": "b"}]
    # one rep in two files is one user where the e-mail says so, else one per name
    assert rows("select count(*) as n from raw_gong.users") == [{"n": 2}]


def test_imported_people_and_calls_survive_loads_from_gong(
    database_url: str, folder: Path, load_gong: Load, rows: Rows, tenant: Tenant
) -> None:
    import_path(database_url=database_url, path=folder)
    load_gong(mode="full")
    report = load_gong(mode="full")
    assert report.rows_written == 0
    assert rows("select count(*) as n from raw_gong.calls where not is_deleted") == [{"n": 6}]
    assert rows("select count(*) as n from raw_gong.users where _dlt_valid_to is null") == [{"n": 3}]


def test_a_rep_known_to_gong_is_found_by_e_mail(database_url: str, folder: Path, load_gong: Load, rows: Rows) -> None:
    load_gong(streams=["users"])
    (folder / "acme.yaml").write_text(SIDECAR.replace("dana@seller.example", "REP1@seller.example"))
    import_path(database_url=database_url, path=folder)
    assert rows("select primary_user_id from raw_gong.calls") == [{"primary_user_id": "5500000000000000001"}]
    assert rows("select count(*) as n from raw_gong.users") == [{"n": 2}]


def test_a_folder_of_gong_json_imports_without_a_server(
    database_url: str, tmp_path: Path, tenant: Tenant, rows: Rows
) -> None:
    orphan = {"callId": "999", "transcript": []}
    (tmp_path / "users.json").write_text(json.dumps(tenant.users))
    (tmp_path / "calls.json").write_text(json.dumps({"calls": tenant.calls}))
    (tmp_path / "transcripts.json").write_text(json.dumps([*tenant.transcripts.values(), orphan]))
    report = import_path(database_url=database_url, path=tmp_path)
    assert [problem.key for problem in report.problems] == ["999"]
    assert rows("select count(*) as n from raw_gong.transcripts") == [{"n": 5}]
    assert rows("select source, key from ops.dead_letters") == [{"source": "import", "key": "999"}]


@pytest.mark.parametrize("name", ["missing", "empty", "notes.docx"])
def test_nothing_to_import_is_an_error_that_says_what_would_do(database_url: str, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.docx").write_text("x")
    with pytest.raises(ImportFailedError, match=name):
        import_path(database_url=database_url, path=tmp_path / name)
