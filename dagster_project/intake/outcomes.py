"""What the warehouse holds of a call after a run: the measure of whether an event has been dealt with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from psycopg.rows import class_row

from dagster_project.intake.queue import Connection
from dlt_pipelines.bookkeeping import subject_sha256


@dataclass(frozen=True)
class Outcome:
    """`done`: nothing more to do. `waiting`: Gong has not got it yet. `failed`: worth another try."""

    state: Literal["done", "waiting", "failed"]
    reason: str | None = None


@dataclass(frozen=True)
class CallState:
    """A call in the warehouse, or one that `kept_out` says is not let in.

    `troubles` names the dimensions whose newest attempt came to nothing.
    """

    call_id: str
    started_at: datetime | None
    loaded_at: datetime | None
    is_deleted: bool
    has_rep: bool
    has_transcript: bool
    troubles: str | None
    not_eligible: str | None
    n_results: int
    kept_out: str | None = None


CALLS = """
with newest as (
    select distinct on (call_id, rep_id, dimension)
        call_id,
        dimension,
        status,
        reason
    from analysis.call_results
    where call_id = any(%(call_ids)s)
    order by call_id, rep_id, dimension, updated_at desc
),

results as (
    select
        call_id,
        count(*) as n_results,
        string_agg(dimension || ': ' || coalesce(reason, status), '; ' order by dimension)
            -- a failed attempt at a better score leaves the old one standing, with a reason
            filter (where status in ('failed', 'over_budget') or (status = 'scored' and reason is not null))
            as troubles,
        min(reason) filter (where status = 'not_eligible') as not_eligible
    from newest
    group by call_id
)

select
    calls.id as call_id,
    calls.started as started_at,
    calls.loaded_at,
    coalesce(calls.is_deleted, false) as is_deleted,
    calls.primary_user_id is not null as has_rep,
    transcripts.call_id is not null as has_transcript,
    results.troubles,
    results.not_eligible,
    coalesce(results.n_results, 0) as n_results
from raw_gong.calls as calls
left join raw_gong.transcripts as transcripts on calls.id = transcripts.call_id
left join results on calls.id = results.call_id
where calls.id = any(%(call_ids)s)
"""


KEPT_OUT = "select call_sha256, reason from raw_gong._kept_out where call_sha256 = any(%s)"
TABLES = ("raw_gong.calls", "raw_gong.transcripts", "raw_gong._kept_out")


def call_states(connection: Connection, call_ids: Sequence[str]) -> dict[str, CallState]:
    """What is known of `call_ids`; a call Gong never showed is not among them."""
    tables = connection.execute("select to_regclass(%s), to_regclass(%s), to_regclass(%s)", TABLES).fetchone()
    if not call_ids or not tables or None in tables:
        return {}
    with connection.cursor(row_factory=class_row(CallState)) as cursor:
        cursor.execute(CALLS, {"call_ids": list(set(call_ids))})
        states = {state.call_id: state for state in cursor}
    by_digest = {subject_sha256(call_id): call_id for call_id in call_ids}
    for digest, reason in connection.execute(KEPT_OUT, (list(by_digest),)):
        call_id = by_digest[digest]
        states[call_id] = replace(states.get(call_id) or _unloaded(call_id), kept_out=reason)
    return states


def _unloaded(call_id: str) -> CallState:
    return CallState(
        call_id=call_id,
        started_at=None,
        loaded_at=None,
        is_deleted=False,
        has_rep=False,
        has_transcript=False,
        troubles=None,
        not_eligible=None,
        n_results=0,
    )


def outcome_of(state: CallState | None) -> Outcome:
    """Whether a call's event is dealt with, given what the warehouse holds of it."""
    if state is None:
        return Outcome("waiting", "Gong does not show the call yet")
    if state.kept_out:
        return Outcome("done", f"the call stays out: {state.kept_out}")
    if state.is_deleted:
        return Outcome("done", "the call was deleted in Gong")
    if not state.has_transcript:
        return Outcome("waiting", "Gong has no transcript of the call yet")
    if state.troubles:
        return Outcome("failed", f"scoring failed: {state.troubles}"[:500])
    if state.not_eligible:
        return Outcome("done", f"not scored: {state.not_eligible}")
    if not state.has_rep:
        return Outcome("done", "not scored: the call has no primary user")
    if state.n_results == 0:
        return Outcome("failed", "the call has a transcript and no result")
    return Outcome("done")
