select
    call_id,
    sum(talk_ratio) as total
from {{ ref('fct_call_participants') }}
where talk_ratio is not null
group by call_id
having abs(sum(talk_ratio) - 1) > 0.01
