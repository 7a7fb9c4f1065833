with

gong as (
    select count(*) as n_calls
    from {{ ref('stg_gong__calls') }}
),

marts as (
    select count(*) as n_calls
    from {{ ref('fct_calls') }}
)

select
    gong.n_calls as gong_calls,
    marts.n_calls as mart_calls
from gong
cross join marts
where gong.n_calls <> marts.n_calls
