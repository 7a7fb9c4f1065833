with

versions as (
    select
        rep_id,
        dimension,
        week_start,
        rubric_version,
        has_version_break,
        lag(rubric_version) over (
            partition by rep_id, dimension order by week_start
        ) as previous_version
    from {{ ref('mart_rep_trends') }}
)

select *
from versions
where has_version_break <> coalesce(previous_version <> rubric_version, false)
