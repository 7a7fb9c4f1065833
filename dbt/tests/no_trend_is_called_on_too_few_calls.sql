select
    rep_id,
    dimension,
    week_start
from {{ ref('mart_rep_trends') }}
where
    (rolling_score is not null and rolling_n < {{ var('show_from_calls') }})
    or (signal in ('up', 'down') and trend_n_calls < {{ var('trend_from_calls') }})
    or (signal in ('up', 'down') and trend_n_weeks < {{ var('trend_from_weeks') }})
    or (signal in ('up', 'down') and q_value >= {{ var('trend_q_below') }})
