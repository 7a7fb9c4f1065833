{{
    config(
        indexes=[{'columns': ['source_hash'], 'unique': True}],
        pre_hook="{{ set_local_memory(64) }}",
    )
}}
-- Which answer stands for a call, a rep and a dimension, and as a hash what its rows are made of.
with

call_results as (
    select * from {{ ref('stg_analysis__call_results') }}
),

calls as (
    select * from {{ ref('int_calls_classified') }}
    where not is_deleted
),

-- Hashed once per rubric: done per answer it took 28 of 31 seconds for 100,000 answers.
rubrics as materialized (
    select
        dimension,
        rubric_version,
        is_current,
        loaded_at,
        md5(cast(body as text)) as rubric_hash
    from {{ ref('stg_knowledge__rubrics') }}
),

users as (
    select * from {{ ref('int_users_classified') }}
),

-- Moments take times and words from the turns: an answer's rows follow when the transcript changes.
transcripts as (
    select * from {{ ref('int_transcripts_fingerprinted') }}
),

-- A later attempt that failed does not take an earlier answer's place.
ranked as (
    select
        call_results.*,
        calls.started_at,
        calls.week_start as call_week_start,
        calls.url as call_url,
        -- weights may change within a version: levels and scores follow without a new answer
        rubrics.rubric_hash,
        row_number() over (
            partition by call_results.call_id, call_results.rep_id, call_results.dimension
            order by
                call_results.status in ('scored', 'not_eligible') desc,
                rubrics.is_current desc nulls last,
                rubrics.loaded_at desc nulls last,
                call_results.updated_at desc,
                call_results.rubric_version asc
        ) = 1 as is_current
    from call_results
    inner join calls on call_results.call_id = calls.call_id
    left join rubrics
        on
            call_results.dimension = rubrics.dimension
            and call_results.rubric_version = rubrics.rubric_version
),

-- The role held when the call took place; history before the first load is unknown.
with_role as (
    select
        ranked.*,
        transcripts.source_hash as transcript_hash,
        coalesce(users.role, 'other') as role
    from ranked
    left join transcripts on ranked.call_id = transcripts.call_id
    left join users
        on
            ranked.rep_id = users.rep_id
            and (ranked.started_at >= users.valid_from or users.is_first)
            and (ranked.started_at < users.valid_to or users.valid_to is null)
),

hashed as (
    select
        call_id,
        rep_id,
        dimension,
        rubric_version,
        is_current,
        call_week_start as week_start,
        started_at,
        call_url,
        role,
        status,
        reason,
        result_key,
        result_created_at,
        updated_at,
        md5(concat_ws(
            '|',
            '{{ var("score_version") }}',
            call_id,
            rep_id,
            dimension,
            rubric_version,
            is_current,
            extract(epoch from started_at),
            call_url,
            role,
            status,
            reason,
            result_key,
            extract(epoch from result_created_at),
            transcript_hash,
            rubric_hash
        )) as source_hash
    from with_role
)

select * from hashed
