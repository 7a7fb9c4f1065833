{{ config(indexes=[{'columns': ['call_id', 'party_number'], 'unique': True}]) }}

with

calls as (
    select * from {{ ref('stg_gong__calls') }}
    where not is_deleted
),

parties as (
    select
        calls.call_id,
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
