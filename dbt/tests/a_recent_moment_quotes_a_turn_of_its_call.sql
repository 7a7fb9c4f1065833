-- The last four weeks are enough: older moments were checked when they were recent.
select
    evidence.evidence_id,
    evidence.call_id,
    evidence.turn_id
from {{ ref('fct_evidence') }} as evidence
cross join {{ ref('int_reporting_clock_set') }} as clock
left join {{ ref('fct_turns') }} as turns
    on evidence.call_id = turns.call_id and evidence.turn_id = turns.turn_id
where
    evidence.week_start > clock.as_of - 28
    and turns.call_id is null
