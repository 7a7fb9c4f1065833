{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='call_id',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['started_at']},
            {'columns': ['rep_id', 'started_at']},
            {'columns': ['account_id']},
            {'columns': ['is_deleted', 'call_id']},
        ],
        pre_hook="{{ delete_gone_rows(parent=ref('int_calls_classified'), key='call_id') }}",
        post_hook="{{ index_hashes() }}",
    )
}}
-- A row is made of many tables: all are computed, and those that say something new are written.

with

calls as (
    select * from {{ ref('int_calls_classified') }}
),

clock as (
    select * from {{ ref('int_reporting_clock_set') }}
),

reps as (
    select * from {{ ref('dim_reps') }}
),

-- The deal as Gong saw it when the call took place, where Gong says so.
deals_at_call as (
    select
        call_id,
        {{ deal_stage_of('attributes') }} as stage,
        {{ number_of("attributes ->> 'amount'") }} as amount
    from {{ ref('int_call_crm_objects_unpacked') }}
    where kind = 'deal' and rank_in_call = 1 and timing = 'TimeOfCall'
),

deals as (
    select * from {{ ref('dim_deals') }}
),

participants as (
    select
        call_id,
        count(*) as n_participants
    from {{ ref('int_call_parties_unpacked') }}
    group by call_id
),

speech as (
    select * from {{ ref('int_call_speech_summed') }}
),

analysed as (
    select
        call_id,
        count(*) filter (where status = 'scored' and dimension <> 'call_brief')
            as n_dimensions_scored,
        bool_or(status = 'not_eligible') as is_refused,
        min(reason) filter (where status = 'not_eligible') as ineligible_reason
    from {{ ref('int_call_results_ranked') }}
    where is_current
    group by call_id
),

answered as (
    select
        call_id,
        bool_or(is_sandbox) as is_sandbox
    from {{ ref('int_answers_counted') }}
    where is_current
    group by call_id
),

joined as (
    select
        calls.call_id,
        calls.title,
        calls.url,
        calls.started_at,
        calls.week_start,
        calls.duration_s,
        calls.direction,
        calls.scope,
        calls.language,
        calls.call_type,
        calls.rep_id,
        reps.rep_name,
        calls.account_id,
        calls.account_name,
        calls.deal_id,
        deals.amount_at_stake,
        cast(coalesce(deals_at_call.amount, deals.amount) as numeric(14, 2)) as deal_amount,
        cast(coalesce(participants.n_participants, 0) as integer) as n_participants,
        cast(coalesce(analysed.n_dimensions_scored, 0) as integer) as n_dimensions_scored,
        calls.is_private,
        calls.is_deleted,
        calls.loaded_at,
        calls.week_start = clock.running_week_start as is_running_week,
        coalesce(deals_at_call.stage, deals.stage) as deal_stage,
        deals_at_call.call_id is not null as is_deal_as_of_call,
        coalesce(speech.n_turns, 0) as n_turns,
        coalesce(speech.n_words, 0) as n_words,
        speech.call_id is not null as has_transcript,
        case
            when calls.is_deleted then 'deleted in Gong'
            when analysed.is_refused
                then coalesce(analysed.ineligible_reason, 'not eligible for scoring')
            when speech.call_id is null then 'no transcript yet'
        end as ineligible_reason,
        coalesce(answered.is_sandbox, false) as is_sandbox
    from calls
    cross join clock
    left join reps on calls.rep_id = reps.rep_id
    left join deals_at_call on calls.call_id = deals_at_call.call_id
    left join deals on calls.deal_id = deals.deal_id
    left join participants on calls.call_id = participants.call_id
    left join speech on calls.call_id = speech.call_id
    left join analysed on calls.call_id = analysed.call_id
    left join answered on calls.call_id = answered.call_id
),

completed as (
    select
        joined.*,
        joined.ineligible_reason is null as is_eligible,
        joined.n_dimensions_scored > 0 as is_scored
    from joined
),

final as (
    select
        call_id,
        title,
        url,
        started_at,
        week_start,
        is_running_week,
        duration_s,
        direction,
        scope,
        language,
        call_type,
        rep_id,
        rep_name,
        account_id,
        account_name,
        deal_id,
        deal_stage,
        deal_amount,
        is_deal_as_of_call,
        amount_at_stake,
        n_participants,
        n_turns,
        n_words,
        has_transcript,
        is_eligible,
        ineligible_reason,
        n_dimensions_scored,
        is_scored,
        is_sandbox,
        is_private,
        is_deleted,
        loaded_at
    from completed
),

hashed as (
    select
        final.*,
        md5(cast(final as text)) as source_hash
    from final
)

select hashed.*
from hashed
where true {{ where_not_held('hashed') }}
