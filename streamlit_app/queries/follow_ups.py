"""What follows from a call: brief, objections, next steps, and how the talking was shared."""

from dataclasses import dataclass
from datetime import date, datetime

from streamlit_app.queries.database import Database, Rows
from streamlit_app.queries.viewer import Viewer


@dataclass(frozen=True, kw_only=True)
class Brief:
    """The call in a few sentences."""

    call_id: str
    summary: str | None
    customer_sentiment: str | None
    rep_sentiment: str | None
    priority: str | None
    priority_reason: str | None
    is_sandbox: bool


@dataclass(frozen=True, kw_only=True)
class Objection:
    """One objection of a customer and what came of it."""

    call_id: str
    call_title: str | None
    account_name: str | None
    started_at: datetime
    rep_id: str
    rep_name: str
    objection_type: str
    turn_id: int | None
    start_ms: int
    quote: str
    response_turn_id: int | None
    outcome: str


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """One thing someone agreed to do."""

    call_id: str
    call_title: str | None
    started_at: datetime
    rep_id: str
    rep_name: str
    turn_id: int | None
    start_ms: int
    quote: str
    owner: str
    action: str
    due: str | None


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A risk or an opportunity someone's words point to."""

    kind: str
    turn_id: int | None
    start_ms: int
    quote: str
    why: str | None


@dataclass(frozen=True, kw_only=True)
class TalkShare:
    """One rep's talk ratio on calls of one type, beside everyone's in the company's marts the viewer may see."""

    call_type: str
    n_calls: int
    talk_ratio: float | None
    everyones_talk_ratio: float | None
    everyones_n_calls: int


@dataclass(frozen=True, kw_only=True)
class Participant:
    """One speaker's share of a call."""

    speaker_label: str
    side: str
    talk_ratio: float | None
    longest_monologue_s: float | None
    patience_s: float | None
    interruption_rate: float | None
    n_questions: int | None
    switches_per_min: float | None


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How one rep talks, as means of per-call values, beside everyone's in scope."""

    rep_id: str
    n_calls: int
    talk_ratio: float | None
    longest_monologue_s: float | None
    patience_s: float | None
    questions_per_hour: float | None
    switches_per_min: float | None


_BRIEF = """
briefs as (
    select
        fct_call_briefs.call_id,
        fct_call_briefs.summary,
        fct_call_briefs.customer_sentiment,
        fct_call_briefs.rep_sentiment,
        fct_call_briefs.priority,
        fct_call_briefs.priority_reason,
        coalesce(fct_call_briefs.is_sandbox, false) as is_sandbox
    from marts.fct_call_briefs
    inner join marts.fct_calls on fct_call_briefs.call_id = fct_calls.call_id
    inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
    where fct_call_briefs.call_id = %(call_id)s and not fct_calls.is_deleted
)

select * from briefs
"""

_OBJECTIONS = """
objections as (
    select
        fct_objections.call_id,
        fct_calls.title as call_title,
        fct_calls.account_name,
        fct_calls.started_at,
        fct_objections.rep_id,
        dim_reps.rep_name,
        fct_objections.objection_type,
        fct_objections.turn_id,
        coalesce(fct_objections.start_ms, 0) as start_ms,
        fct_objections.quote,
        fct_objections.response_turn_id,
        fct_objections.outcome
    from marts.fct_objections
    inner join visible_reps on fct_objections.rep_id = visible_reps.rep_id
    inner join marts.fct_calls on fct_objections.call_id = fct_calls.call_id
    inner join marts.dim_reps on fct_objections.rep_id = dim_reps.rep_id
    where
        not fct_calls.is_deleted
        and (%(call_id)s::text is null or fct_objections.call_id = %(call_id)s)
        and (%(rep_id)s::text is null or fct_objections.rep_id = %(rep_id)s)
        and (%(objection_type)s::text is null or fct_objections.objection_type = %(objection_type)s)
        and (%(since)s::date is null or fct_calls.started_at >= %(since)s)
)

select * from objections
order by started_at desc, call_id, start_ms
"""

_NEXT_STEPS = """
next_steps as (
    select
        fct_next_steps.call_id,
        fct_calls.title as call_title,
        fct_calls.started_at,
        fct_next_steps.rep_id,
        dim_reps.rep_name,
        fct_next_steps.turn_id,
        coalesce(fct_next_steps.start_ms, 0) as start_ms,
        fct_next_steps.quote,
        fct_next_steps.owner,
        fct_next_steps.action,
        fct_next_steps.due
    from marts.fct_next_steps
    inner join visible_reps on fct_next_steps.rep_id = visible_reps.rep_id
    inner join marts.fct_calls on fct_next_steps.call_id = fct_calls.call_id
    inner join marts.dim_reps on fct_next_steps.rep_id = dim_reps.rep_id
    where
        not fct_calls.is_deleted
        and (%(call_id)s::text is null or fct_next_steps.call_id = %(call_id)s)
        and (%(rep_id)s::text is null or fct_next_steps.rep_id = %(rep_id)s)
)

select * from next_steps
order by started_at desc, call_id, start_ms
"""

_FLAGS = """
flags as (
    select
        fct_call_flags.kind,
        fct_call_flags.turn_id,
        coalesce(fct_call_flags.start_ms, 0) as start_ms,
        fct_call_flags.quote,
        fct_call_flags.why,
        fct_call_flags.flag_number
    from marts.fct_call_flags
    inner join visible_reps on fct_call_flags.rep_id = visible_reps.rep_id
    inner join marts.fct_calls on fct_call_flags.call_id = fct_calls.call_id
    where fct_call_flags.call_id = %(call_id)s and not fct_calls.is_deleted
)

select
    flags.kind,
    flags.turn_id,
    flags.start_ms,
    flags.quote,
    flags.why
from flags
order by flags.start_ms, flags.flag_number
"""

_TALK_SHARES = """
spoken as (
    select
        fct_calls.rep_id,
        coalesce(fct_calls.call_type, 'other') as call_type,
        fct_call_participants.talk_ratio
    from marts.fct_call_participants
    cross join anchor
    inner join marts.fct_calls on fct_call_participants.call_id = fct_calls.call_id
    inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
    where
        fct_call_participants.side = 'rep'
        and fct_call_participants.talk_ratio is not null
        and not fct_calls.is_deleted
        and fct_calls.started_at >= anchor.window_end - 89
),

shares as (
    select
        spoken.call_type,
        count(*) filter (where spoken.rep_id = %(rep_id)s) as n_calls,
        round(avg(spoken.talk_ratio) filter (where spoken.rep_id = %(rep_id)s), 3) as talk_ratio,
        round(avg(spoken.talk_ratio), 3) as everyones_talk_ratio,
        count(*) as everyones_n_calls
    from spoken
    group by spoken.call_type
)

select * from shares
where shares.n_calls > 0
order by shares.n_calls desc, shares.call_type
"""

_PARTICIPANTS = """
participants as (
    select
        fct_call_participants.speaker_label,
        fct_call_participants.side,
        round(fct_call_participants.talk_ratio, 3) as talk_ratio,
        round(fct_call_participants.longest_monologue_s, 1) as longest_monologue_s,
        round(fct_call_participants.patience_s, 2) as patience_s,
        round(fct_call_participants.interruption_rate, 3) as interruption_rate,
        fct_call_participants.n_questions,
        round(fct_call_participants.switches_per_min, 1) as switches_per_min
    from marts.fct_call_participants
    inner join marts.fct_calls on fct_call_participants.call_id = fct_calls.call_id
    inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
    where fct_call_participants.call_id = %(call_id)s and not fct_calls.is_deleted
)

select * from participants
order by talk_ratio desc nulls last, speaker_label
"""

_RHYTHM = """
rhythm as (
    select
        fct_calls.rep_id,
        count(*) as n_calls,
        round(avg(fct_call_participants.talk_ratio), 3) as talk_ratio,
        round(avg(fct_call_participants.longest_monologue_s), 1) as longest_monologue_s,
        round(avg(fct_call_participants.patience_s), 2) as patience_s,
        round(avg(fct_call_participants.questions_per_hour), 1) as questions_per_hour,
        round(avg(fct_call_participants.switches_per_min), 1) as switches_per_min
    from marts.fct_call_participants
    cross join anchor
    inner join marts.fct_calls on fct_call_participants.call_id = fct_calls.call_id
    inner join visible_reps on fct_calls.rep_id = visible_reps.rep_id
    where
        fct_call_participants.side = 'rep'
        and not fct_calls.is_deleted
        and (%(rep_id)s::text is null or fct_calls.rep_id = %(rep_id)s)
        and fct_calls.started_at >= coalesce(%(since)s::date, anchor.window_end - 89)
        and fct_calls.started_at < coalesce(%(until)s::date, anchor.window_end) + 1
    group by fct_calls.rep_id
)

select * from rhythm
order by rep_id
"""


def call_brief(database: Database, viewer: Viewer, call_id: str) -> Brief | None:
    return database.row(viewer, Brief, _BRIEF, {"call_id": call_id})


def list_objections(
    database: Database,
    viewer: Viewer,
    *,
    call_id: str | None = None,
    rep_id: str | None = None,
    objection_type: str | None = None,
    since: date | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Rows[Objection]:
    """Objections, newest call first."""
    parameters = {"call_id": call_id, "rep_id": rep_id, "objection_type": objection_type, "since": since}
    return database.rows(viewer, Objection, _OBJECTIONS, parameters, limit=limit, offset=offset)


def list_next_steps(
    database: Database, viewer: Viewer, *, call_id: str | None = None, rep_id: str | None = None, limit: int = 50
) -> Rows[NextStep]:
    """What was agreed, newest call first."""
    return database.rows(viewer, NextStep, _NEXT_STEPS, {"call_id": call_id, "rep_id": rep_id}, limit=limit)


def call_flags(database: Database, viewer: Viewer, call_id: str) -> Rows[Flag]:
    """Risks and opportunities, in the order they were said."""
    return database.rows(viewer, Flag, _FLAGS, {"call_id": call_id})


def talk_shares(database: Database, viewer: Viewer, rep_id: str) -> Rows[TalkShare]:
    """The last 90 days by type of call: one target for all types would be wrong."""
    return database.rows(viewer, TalkShare, _TALK_SHARES, {"rep_id": rep_id})


def call_participants(database: Database, viewer: Viewer, call_id: str) -> Rows[Participant]:
    return database.rows(viewer, Participant, _PARTICIPANTS, {"call_id": call_id})


def rhythms(
    database: Database,
    viewer: Viewer,
    *,
    since: date | None = None,
    until: date | None = None,
    rep_id: str | None = None,
) -> Rows[Rhythm]:
    """One row per rep in scope; the last 90 days unless said otherwise."""
    return database.rows(viewer, Rhythm, _RHYTHM, {"since": since, "until": until, "rep_id": rep_id})
