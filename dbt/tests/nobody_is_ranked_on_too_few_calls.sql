select
    rep_id,
    dimension,
    window_days
from {{ ref('mart_leaderboard') }}
where
    is_ranked <> (tier <> 'not ranked yet')
    or (is_ranked and n_calls < {{ var('rank_from_calls') }})
    or (is_ranked and n_reps_compared < {{ var('rank_from_reps') }})
    or (score is not null and n_calls < {{ var('show_from_calls') }})
