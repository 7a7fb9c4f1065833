-- A call that says it is scored must have the answer its score comes from.
select
    call_results.call_id,
    call_results.dimension,
    call_results.result_key
from {{ ref('int_call_results_ranked') }} as call_results
left join {{ ref('int_answers_counted') }} as answers
    on call_results.source_hash = answers.source_hash
where
    call_results.status = 'scored'
    and call_results.is_current
    and answers.source_hash is null
