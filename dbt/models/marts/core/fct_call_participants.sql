{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_participants_fingerprinted'),
            key=['call_id'],
        ) }}",
        post_hook="{{ index_hashes() }}",
    )
}}

with

fingerprints as materialized (
    select fingerprint.*
    from {{ ref('int_participants_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint') }}
),

measured as (
    select * from {{ ref('int_participants_measured') }}
),

calls as (
    select * from {{ ref('int_calls_classified') }}
),

parties as (
    select * from {{ ref('int_call_parties_unpacked') }}
    where is_speaker
),

gong as (
    select * from {{ ref('int_gong_interaction_unpacked') }}
),

joined as (
    select
        measured.call_id,
        measured.speaker_id,
        calls.rep_id,
        measured.speaker_label,
        measured.side,
        parties.party_name as participant_name,
        parties.email,
        parties.title,
        parties.user_id,
        measured.talk_ms,
        measured.talk_ratio,
        measured.n_words,
        measured.n_turns,
        measured.n_backchannels,
        measured.n_questions,
        measured.questions_per_hour,
        measured.longest_monologue_s,
        measured.patience_s,
        measured.interruption_rate,
        measured.switches_per_min,
        measured.call_minutes,
        measured.metric_version,
        talk_times.talk_s as gong_talk_s,
        stats.talk_ratio as gong_talk_ratio,
        stats.longest_monologue_s as gong_longest_monologue_s,
        stats.longest_customer_story_s as gong_longest_customer_story_s,
        stats.interactivity as gong_interactivity,
        stats.patience_s as gong_patience_s,
        calls.week_start,
        calls.started_at,
        fingerprints.source_hash
    from fingerprints
    inner join measured on fingerprints.call_id = measured.call_id
    inner join calls on measured.call_id = calls.call_id
    left join parties
        on measured.call_id = parties.call_id and measured.speaker_id = parties.speaker_id
    left join gong as talk_times
        on
            measured.call_id = talk_times.call_id
            and parties.party_id = talk_times.party_id
    -- Gong's statistics of a call are the host's.
    left join gong as stats
        on
            measured.call_id = stats.call_id
            and stats.party_id = 'call'
            and measured.side = 'rep'
)

select * from joined
