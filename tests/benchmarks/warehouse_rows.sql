-- Calls :first to :last of the benchmark, a hundred a week from Monday :monday on, written as the loader and the analysis
-- engine write them.
-- Transcripts and answers come from a few hundred templates: the build reads every sentence of every call all the same.
with numbered as (
    select
        n,
        'call-' || n as call_id,
        'rep-' || (n %% 50) as rep_id,
        (
            (%(monday)s::date + time '09:00') at time zone 'UTC'
            + make_interval(days => 7 * (n / 100) + n %% 5, mins => n %% 400)
        ) as started_at
    from generate_series(%(first)s::integer, %(last)s::integer) as n
)
insert into raw_gong.calls (
    id, url, title, started, duration, primary_user_id, direction, scope, language, is_private, parties, context,
    content_hash, is_deleted, loaded_at
)
select
    call_id,
    'https://gong.example.com/call?id=' || call_id,
    (array['Discovery', 'Demo', 'Technical deep dive', 'Pricing', 'QBR'])[1 + n %% 5] || ' with account ' || n %% 400,
    started_at,
    2400,
    rep_id,
    'Conference',
    'External',
    'eng',
    false,
    jsonb_build_array(
        jsonb_build_object('id', 'p1', 'name', rep_id, 'userId', rep_id, 'speakerId', 's1', 'affiliation', 'Internal'),
        jsonb_build_object('id', 'p2', 'name', 'Customer ' || n, 'speakerId', 's2', 'affiliation', 'External'),
        jsonb_build_object('id', 'p3', 'name', 'Colleague ' || n, 'speakerId', 's3', 'affiliation', 'External')
    ),
    jsonb_build_array(jsonb_build_object('system', 'HubSpot', 'objects', jsonb_build_array(
        jsonb_build_object('objectType', 'Account', 'objectId', 'a' || n %% 400, 'timing', 'Now', 'fields',
            jsonb_build_array(jsonb_build_object('name', 'Name', 'value', 'Account ' || n %% 400))),
        jsonb_build_object('objectType', 'Opportunity', 'objectId', 'd' || n %% 800, 'timing', 'Now', 'fields',
            jsonb_build_array(
                jsonb_build_object('name', 'Amount', 'value', 1000 + n %% 90000),
                jsonb_build_object('name', 'StageName', 'value', 'Proposal')
            ))
    ))),
    md5(call_id),
    false,
    started_at + interval '3 hours'
from numbered;

insert into raw_gong.transcripts (call_id, started, transcript, content_hash, loaded_at)
select calls.id, calls.started, templates.transcript, md5('t' || calls.id), calls.loaded_at
from generate_series(%(first)s::integer, %(last)s::integer) as n
inner join raw_gong.calls on calls.id = 'call-' || n
inner join benchmark.transcripts as templates on templates.template = n %% 300;

insert into analysis.results (
    result_key, dimension, rubric_version, knowledge_version, prompt_version, transcript_hash, model, is_sandbox, answer,
    n_quotes, n_quotes_verified, cost_usd, created_at, expires_at
)
select
    templates.dimension || '-' || n,
    templates.dimension,
    templates.rubric_version,
    'k1',
    'p1',
    md5('t' || n),
    'claude-sonnet-5-5',
    false,
    templates.answer,
    12,
    11,
    0.02,
    calls.started + interval '5 hours',
    calls.started + interval '95 days'
from generate_series(%(first)s::integer, %(last)s::integer) as n
inner join raw_gong.calls on calls.id = 'call-' || n
inner join benchmark.answers as templates on templates.template = n %% 200;

insert into analysis.call_results (
    call_id, rep_id, dimension, week_start, result_key, result_created_at, rubric_version, status, updated_at
)
select
    calls.id,
    calls.primary_user_id,
    templates.dimension,
    date_trunc('week', calls.started at time zone 'UTC')::date,
    templates.dimension || '-' || n,
    calls.started + interval '5 hours',
    templates.rubric_version,
    'scored',
    calls.started + interval '5 hours'
from generate_series(%(first)s::integer, %(last)s::integer) as n
inner join raw_gong.calls on calls.id = 'call-' || n
inner join benchmark.answers as templates on templates.template = n %% 200;

insert into analysis.requests (
    call_id, rep_id, dimension, result_key, requested_model, model, is_sandbox, kind, position, status, cache_outcome,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, output_tokens, cost_usd, latency_ms, started_at
)
select
    calls.id,
    calls.primary_user_id,
    templates.dimension,
    templates.dimension || '-' || n,
    'claude-sonnet-5-5',
    'claude-sonnet-5-5',
    false,
    'live',
    case when templates.dimension = 'discovery' then 'leader' else 'follower' end,
    'ok',
    'miss',
    900,
    case when templates.dimension = 'discovery' then 6000 else 17000 end,
    case when templates.dimension = 'discovery' then 11000 else 0 end,
    1200,
    0.02,
    9000 + n %% 5000,
    calls.started + interval '5 hours'
from generate_series(%(first)s::integer, %(last)s::integer) as n
inner join raw_gong.calls on calls.id = 'call-' || n
inner join benchmark.answers as templates on templates.template = n %% 200;

insert into ops.reviews (
    review_id, week_start, kind, recipient_id, version, subject, markdown, html, slack_blocks, rendered_at
)
select distinct on (week_start, recipient_id)
    md5(weeks.week_start || calls.primary_user_id),
    weeks.week_start,
    'rep',
    calls.primary_user_id as recipient_id,
    'v1',
    'Your week',
    repeat('What works, what to tighten, one exercise. ', 40),
    repeat('<p>What works, what to tighten, one exercise.</p>', 40),
    '[]'::jsonb,
    calls.started + interval '7 days'
from generate_series(%(first)s::integer, %(last)s::integer) as n
inner join raw_gong.calls on calls.id = 'call-' || n
cross join lateral (select date_trunc('week', calls.started at time zone 'UTC')::date as week_start) as weeks
on conflict do nothing;
