{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['call_id', 'party_number'], 'unique': True},
        ],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_calls_fingerprinted'),
            key=['call_id'],
        ) }}",
        post_hook="{{ index_hashes() }}",
    )
}}

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
    where not stg_calls.is_deleted
),

parties as (
    select
        calls.call_id,
        calls.source_hash,
        calls.primary_user_id,
        unpacked.party_number,
        unpacked.party ->> 'id' as party_id,
        unpacked.party ->> 'speakerId' as speaker_id,
        unpacked.party ->> 'userId' as user_id,
        unpacked.party ->> 'name' as party_name,
        unpacked.party ->> 'title' as title,
        unpacked.party ->> 'emailAddress' as email,
        unpacked.party ->> 'affiliation' as affiliation
    from calls
    cross join lateral jsonb_array_elements(
        {{ as_array('calls.parties') }}
    ) with ordinality as unpacked (party, party_number)
),

sided as (
    select
        call_id,
        cast(party_number as integer) as party_number,
        party_id,
        speaker_id,
        user_id,
        party_name,
        title,
        email,
        affiliation,
        source_hash,
        case
            when user_id = primary_user_id then 'rep'
            when affiliation = 'Internal' then 'team'
            when affiliation = 'External' then 'customer'
            else 'unknown'
        end as side,
        -- Gong sometimes lists a voice twice; the last listing counts, as it does in the prompt.
        row_number() over (partition by call_id, speaker_id order by party_number desc) = 1
        and speaker_id is not null as is_speaker
    from parties
)

select * from sided
