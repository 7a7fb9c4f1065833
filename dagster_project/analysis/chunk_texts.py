"""A call's text as it is asked about: its stored chunks, with the turns an answer may cite, or halves of one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import AsyncConnection

from dagster_project.analysis.chunking import Line, windows_of
from dagster_project.analysis.knowledge_base import KnowledgeBase
from dagster_project.analysis.scoring import Evidence, statement_ids
from dagster_project.analysis.transcripts import line, turns_of_lines

# a text of a few turns that is too long has another fault
SHORTEST_CUT_TURNS = 8
HALF_WITH_OVERLAP = 0.6


@dataclass(frozen=True, slots=True)
class ChunkText:
    text: str
    evidence: Evidence


async def read_chunks(
    connection: AsyncConnection[dict[str, Any]],
    *,
    call_id: str,
    knowledge: KnowledgeBase,
    dimensions: Sequence[str],
) -> list[ChunkText]:
    cursor = await connection.execute(
        """
        select chunk_index, n_chunks, text, flagged_turn_ids, turn_starts_ms, turn_ends_ms
        from analysis.transcript_chunks
        where call_id = %s
        order by chunk_index
        """,
        (call_id,),
    )
    markers = knowledge.markers(dimensions)
    known_statements = statement_ids(knowledge)
    return [
        ChunkText(
            text=row["text"],
            evidence=Evidence(
                turns={
                    turn.turn_id: turn
                    for turn in turns_of_lines(
                        row["text"], starts_ms=row["turn_starts_ms"], ends_ms=row["turn_ends_ms"]
                    )
                },
                flagged=frozenset(row["flagged_turn_ids"]),
                markers=markers,
                statement_ids=known_statements,
                chunk_index=row["chunk_index"],
                n_chunks=row["n_chunks"],
            ),
        )
        for row in await cursor.fetchall()
    ]


def halves_of(chunk: ChunkText) -> list[ChunkText]:
    """The chunk in parts of about half its size that overlap as chunks do; none if it is too short to be cut."""
    turns = tuple(chunk.evidence.turns.values())
    if len(turns) < SHORTEST_CUT_TURNS:
        return []
    lines = [Line(turn.turn_id, row, len(row)) for turn in turns for row in [line(turn)]]
    size = sum(row.n_tokens for row in lines)
    windows = list(windows_of(lines, max_tokens=int(size * HALF_WITH_OVERLAP)))
    if len(windows) < 2:
        return []
    return [
        ChunkText(
            text="\n".join(row.text for row in window),
            evidence=replace(
                chunk.evidence,
                turns={row.turn_id: chunk.evidence.turns[row.turn_id] for row in window},
                chunk_index=index,
                n_chunks=len(windows),
            ),
        )
        for index, window in enumerate(windows)
    ]
