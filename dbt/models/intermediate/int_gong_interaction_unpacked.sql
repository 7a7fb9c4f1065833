{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['call_id', 'party_id'], 'unique': True},
        ],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_calls_fingerprinted'),
            key=['call_id'],
        ) }}",
        post_hook="{{ index_hashes() }}",
    )
}}
-- Gong's own numbers, beside ours and never mixed with them.
with

fingerprints as materialized (
    select fingerprint.*
    from {{ ref('int_calls_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint') }}
),

calls as (
    select
        stg_calls.*,
        fingerprints.source_hash
    from {{ ref('stg_gong__calls') }} as stg_calls
    inner join fingerprints on stg_calls.call_id = fingerprints.call_id
    where not stg_calls.is_deleted and jsonb_typeof(stg_calls.interaction) = 'object'
),

talk_times as (
    select
        calls.call_id,
        unpacked.item ->> 'id' as party_id,
        max(cast(unpacked.item ->> 'talkTime' as numeric)) as talk_s
    from calls
    cross join
        lateral jsonb_array_elements({{ as_array("calls.interaction -> 'speakers'") }})
            as unpacked (item)
    where unpacked.item ->> 'id' is not null
    group by calls.call_id, unpacked.item ->> 'id'
),

named as (
    select
        calls.call_id,
        cast(unpacked.item ->> 'value' as numeric) as value,
        lower(unpacked.item ->> 'name') as name
    from calls
    cross join
        lateral
        jsonb_array_elements({{ as_array("calls.interaction -> 'interactionStats'") }})
            as unpacked (item)
),

-- The talk ratio comes as 0.49 or as 49.
stats as (
    select
        call_id,
        max(round(case when value > 1 then value / 100 else value end, 4))
        filter (where name = 'talk ratio') as talk_ratio,
        max(value) filter (where name = 'longest monologue') as longest_monologue_s,
        max(value) filter (where name = 'longest customer story') as longest_customer_story_s,
        max(value) filter (where name = 'interactivity') as interactivity,
        max(value) filter (where name = 'patience') as patience_s
    from named
    group by call_id
),

unioned as (
    select
        call_id,
        party_id,
        talk_s,
        cast(null as numeric) as talk_ratio,
        cast(null as numeric) as longest_monologue_s,
        cast(null as numeric) as longest_customer_story_s,
        cast(null as numeric) as interactivity,
        cast(null as numeric) as patience_s
    from talk_times
    union all
    select
        call_id,
        'call' as party_id,
        cast(null as numeric) as talk_s,
        talk_ratio,
        longest_monologue_s,
        longest_customer_story_s,
        interactivity,
        patience_s
    from stats
)

select
    unioned.*,
    fingerprints.source_hash
from unioned
inner join fingerprints on unioned.call_id = fingerprints.call_id
