select
    call_id,
    rep_id,
    dimension,
    count(*) as n_standing
from {{ ref('fct_scores') }}
where is_current
group by call_id, rep_id, dimension
having count(*) > 1
