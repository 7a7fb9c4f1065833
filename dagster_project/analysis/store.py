"""Raw calls in, redacted chunks out: the part of the analysis that talks to the source tables.

    raw_gong.calls + raw_gong.transcripts -> turns -> redacted lines -> analysis.transcript_chunks

A call whose source did not change since it was chunked is not read. One that cannot be analysed is recorded with the
reason, one that was deleted at the source loses its chunks, its scores and the answers only it used.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import dict_row

from dagster_project.analysis.chunking import chunk_transcript
from dagster_project.analysis.injection import flagged_turn_ids
from dagster_project.analysis.knowledge_base import KnowledgeBase, load_knowledge_base
from dagster_project.analysis.limits import versions_by_dimension, whole_call_limit
from dagster_project.analysis.redaction import REDACTOR_VERSION, redact
from dagster_project.analysis.settings import AnalysisSettings
from dagster_project.analysis.tokens import claude_tokens
from dagster_project.analysis.transcripts import Transcript, build_transcript, parse_parties

logger = logging.getLogger(__name__)

SCOPE = """
    select
        calls.id as call_id,
        calls.primary_user_id,
        calls.duration,
        calls.scope,
        calls.language,
        coalesce(calls.is_private, false) as is_private,
        coalesce(calls.is_deleted, false) as is_deleted,
        date_trunc('week', calls.started at time zone 'utc')::date as week_start,
        transcripts.call_id is not null as has_transcript,
        md5(concat_ws(
            '|',
            coalesce(transcripts.content_hash, md5(transcripts.transcript::text)),
            calls.parties,
            calls.primary_user_id,
            calls.duration,
            calls.scope,
            calls.language,
            date_trunc('week', calls.started at time zone 'utc')::date,
            %(settings)s::text
        )) as source_hash
    from raw_gong.calls as calls
    left join raw_gong.transcripts as transcripts on calls.id = transcripts.call_id
    where
        date_trunc('week', calls.started at time zone 'utc')::date = any(%(weeks)s)
        and (%(call_ids)s::text[] is null or calls.id = any(%(call_ids)s))
    order by calls.started, calls.id
"""

SOURCE = """
    select
        calls.id as call_id,
        calls.primary_user_id,
        calls.parties,
        transcripts.transcript
    from raw_gong.calls as calls
    inner join raw_gong.transcripts as transcripts on calls.id = transcripts.call_id
    where calls.id = %s
"""

# chunks of the weeks whose call is gone from the source, or marked as deleted there
GONE = """
    select distinct chunks.call_id
    from analysis.transcript_chunks as chunks
    left join raw_gong.calls as calls on chunks.call_id = calls.id
    where
        chunks.week_start = any(%(weeks)s)
        and (%(call_ids)s::text[] is null or chunks.call_id = any(%(call_ids)s))
        and (calls.id is null or coalesce(calls.is_deleted, false))
"""


@dataclass
class ChunkReport:
    """What one pass over some weeks did."""

    calls: int = 0
    chunked: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    flagged_turns: int = 0
    not_eligible: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)


def build_chunks(
    *,
    database_url: str,
    weeks: Sequence[date],
    call_ids: Sequence[str] | None = None,
    settings: AnalysisSettings | None = None,
    knowledge: KnowledgeBase | None = None,
) -> ChunkReport:
    """Bring `analysis.transcript_chunks` of these weeks in line with the raw tables."""
    settings = settings or AnalysisSettings()
    knowledge = knowledge or load_knowledge_base()
    whole_limit = whole_call_limit(settings=settings, knowledge=knowledge)
    max_tokens = min(whole_limit, settings.chunk_tokens)
    report = ChunkReport()
    scope = {
        "weeks": list(weeks),
        "call_ids": None if call_ids is None else list(call_ids),
        "settings": f"{REDACTOR_VERSION}|{whole_limit}|{max_tokens}|{settings.min_call_s}|{settings.languages}",
    }
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        if not has_source(connection):
            report.messages.append("nothing to analyse yet: no calls were loaded (raw_gong.calls does not exist)")
            return report
        for row in connection.execute(GONE, scope).fetchall():
            remove_call(connection, call_id=row["call_id"])
            report.removed += 1
        known = known_sources(connection, scope)
        candidates = [row for row in connection.execute(SCOPE, scope).fetchall() if not row["is_deleted"]]
        connection.commit()
        for row in candidates:
            report.calls += 1
            reason = ineligible_reason(row, settings)
            if reason is None and known.get(row["call_id"]) == row["source_hash"]:
                report.unchanged += 1
                continue
            with connection.transaction():
                if reason is None:
                    reason = write_call(connection, row, whole_limit=whole_limit, max_tokens=max_tokens, report=report)
                if reason is not None:
                    report.not_eligible[reason] += 1
                    write_not_eligible(connection, row, reason=reason, knowledge=knowledge)
    return report


def has_source(connection: psycopg.Connection[dict[str, Any]]) -> bool:
    row = connection.execute(
        """
        select
            to_regclass('raw_gong.calls') is not null
            and to_regclass('raw_gong.transcripts') is not null as is_there
        """
    ).fetchone()
    return bool(row and row["is_there"])


def known_sources(connection: psycopg.Connection[dict[str, Any]], scope: Mapping[str, Any]) -> dict[str, str]:
    rows = connection.execute(
        """
        select call_id, source_hash
        from analysis.transcript_chunks
        where
            chunk_index = 0
            and week_start = any(%(weeks)s)
            and (%(call_ids)s::text[] is null or call_id = any(%(call_ids)s))
        """,
        scope,
    ).fetchall()
    return {row["call_id"]: row["source_hash"] for row in rows}


def ineligible_reason(row: Mapping[str, Any], settings: AnalysisSettings) -> str | None:
    languages = tuple(prefix.strip().lower() for prefix in settings.languages.split(",") if prefix.strip())
    if row["is_private"]:
        return "private call"
    if row["scope"] == "Internal":
        return "internal call"
    if row["primary_user_id"] is None:
        return "no primary user to score"
    if not row["has_transcript"]:
        return "no transcript yet"
    if row["duration"] is not None and row["duration"] < settings.min_call_s:
        return f"shorter than {settings.min_call_s // 60} minutes"
    if row["language"] and languages and not str(row["language"]).lower().startswith(languages):
        return f"not in a scored language ({row['language']})"
    return None


def write_call(
    connection: psycopg.Connection[dict[str, Any]],
    row: Mapping[str, Any],
    *,
    whole_limit: int,
    max_tokens: int,
    report: ChunkReport,
) -> str | None:
    """Chunk one call; returns why it cannot be, if so."""
    transcript = read_transcript(connection, call_id=row["call_id"])
    if transcript is None or not transcript.turns:
        return "empty transcript"
    sides = {turn.side for turn in transcript.turns}
    if "rep" not in sides:
        return "the primary user does not speak"
    if not sides & {"customer", "unknown"}:
        return "nobody from the customer speaks"
    flagged = flagged_turn_ids(transcript.turns)
    transcript_hash = transcript.hash
    chunks = chunk_transcript(transcript, whole_limit=whole_limit, max_tokens=max_tokens)
    # a score of another text cites turns that are no longer there
    connection.execute(
        """
        delete from analysis.call_results
        where call_id = %s and (transcript_hash is distinct from %s or status = 'not_eligible')
        """,
        (row["call_id"], transcript_hash),
    )
    connection.execute("delete from analysis.transcript_chunks where call_id = %s", (row["call_id"],))
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into analysis.transcript_chunks (
                call_id, chunk_index, n_chunks, first_turn_id, last_turn_id, transcript_hash, redactor_version, text,
                estimated_tokens, flagged_turn_ids, rep_id, week_start, source_hash, turn_starts_ms, turn_ends_ms
            ) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    row["call_id"],
                    chunk.chunk_index,
                    chunk.n_chunks,
                    chunk.first_turn_id,
                    chunk.last_turn_id,
                    transcript_hash,
                    REDACTOR_VERSION,
                    chunk.text,
                    claude_tokens(len(chunk.text)),
                    [turn for turn in flagged if chunk.first_turn_id <= turn <= chunk.last_turn_id],
                    row["primary_user_id"],
                    row["week_start"],
                    row["source_hash"],
                    [turn.start_ms for turn in transcript.turns[chunk.first_turn_id - 1 : chunk.last_turn_id]],
                    [turn.end_ms for turn in transcript.turns[chunk.first_turn_id - 1 : chunk.last_turn_id]],
                )
                for chunk in chunks
            ],
        )
    report.chunked += 1
    report.chunks += len(chunks)
    report.flagged_turns += len(flagged)
    return None


def read_transcript(connection: psycopg.Connection[dict[str, Any]], *, call_id: str) -> Transcript | None:
    """The call's turns as Claude is shown them: redacted."""
    row = connection.execute(SOURCE, (call_id,)).fetchone()
    return None if row is None else transcript_of(row)


def transcript_of(row: Mapping[str, Any]) -> Transcript:
    parties = parse_parties(row["parties"], primary_user_id=row["primary_user_id"])
    transcript = build_transcript(
        call_id=row["call_id"],
        rep_id=row["primary_user_id"],
        monologues=row["transcript"] or [],
        parties=parties,
    )
    return redact(transcript, parties)


def write_not_eligible(
    connection: psycopg.Connection[dict[str, Any]],
    row: Mapping[str, Any],
    *,
    reason: str,
    knowledge: KnowledgeBase,
) -> None:
    connection.execute("delete from analysis.transcript_chunks where call_id = %s", (row["call_id"],))
    connection.execute("delete from analysis.call_results where call_id = %s", (row["call_id"],))
    if row["primary_user_id"] is None:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into analysis.call_results (call_id, rep_id, dimension, week_start, rubric_version, status, reason)
            values (%s, %s, %s, %s, %s, 'not_eligible', %s)
            """,
            [
                (row["call_id"], row["primary_user_id"], dimension, row["week_start"], version, reason)
                for dimension, version in versions_by_dimension(knowledge).items()
            ],
        )


def forget_deleted(database_url: str) -> list[str]:
    """Remove what was made of calls that Gong no longer has, whatever their week; returns the calls' ids."""
    with psycopg.connect(database_url) as connection:
        deleted = [
            call_id
            for (call_id,) in connection.execute(
                """
                select distinct chunks.call_id
                from analysis.transcript_chunks as chunks
                inner join raw_gong.calls as calls on chunks.call_id = calls.id
                where calls.is_deleted
                order by chunks.call_id
                """
            )
        ]
        for call_id in deleted:
            remove_call(connection, call_id=call_id)
    return deleted


def remove_call(connection: psycopg.Connection[Any], *, call_id: str) -> None:
    """Forget a call that is gone at the source: chunks, standing results, and answers no other call stands on."""
    connection.execute(
        """
        with gone as (
            select distinct transcript_hash
            from analysis.transcript_chunks
            where call_id = %(call_id)s
        ),

        still_used as (
            select distinct transcript_hash
            from analysis.transcript_chunks
            where call_id <> %(call_id)s
        )

        delete from analysis.results
        using gone
        where
            analysis.results.transcript_hash = gone.transcript_hash
            and not exists (select 1 from still_used where still_used.transcript_hash = gone.transcript_hash)
        """,
        {"call_id": call_id},
    )
    connection.execute("delete from analysis.call_results where call_id = %s", (call_id,))
    connection.execute("delete from analysis.transcript_chunks where call_id = %s", (call_id,))
