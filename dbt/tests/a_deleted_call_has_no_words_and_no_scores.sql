with

deleted as (
    select call_id
    from {{ ref('fct_calls') }}
    where is_deleted
)

select deleted.call_id
from deleted
where
    exists (
        select 1 from {{ ref('fct_turns') }} as t
        where t.call_id = deleted.call_id
    )
    or exists (
        select 1 from {{ ref('fct_scores') }} as s
        where s.call_id = deleted.call_id
    )
    or exists (
        select 1 from {{ ref('fct_evidence') }} as e
        where e.call_id = deleted.call_id
    )
