create schema if not exists analysis;

-- One row per call and chunk of the redacted transcript as Claude is sent it.
create table analysis.transcript_chunks (
    call_id text not null,
    chunk_index integer not null,
    n_chunks integer not null,
    first_turn_id integer not null,
    last_turn_id integer not null,
    transcript_hash text not null,
    redactor_version text not null,
    text text not null,
    estimated_tokens integer not null,
    flagged_turn_ids integer[] not null default '{}',
    rep_id text,
    week_start date not null,
    chunked_at timestamptz not null default now(),
    primary key (call_id, chunk_index)
);
create index transcript_chunks_week on analysis.transcript_chunks (week_start);

-- One row per answered request key: the result cache. A quarter is a partition, so retention drops tables.
create table analysis.results (
    result_key text not null,
    dimension text not null,
    rubric_version text not null,
    knowledge_version text not null,
    prompt_version text not null,
    transcript_hash text not null,
    -- the model that answered; a stand-in answers as "sandbox" whatever was asked for
    model text not null,
    is_sandbox boolean not null,
    answer jsonb not null,
    n_quotes integer not null default 0,
    n_quotes_verified integer not null default 0,
    n_quotes_repaired integer not null default 0,
    n_quotes_dropped integer not null default 0,
    cost_usd numeric not null default 0,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    primary key (result_key, created_at)
) partition by range (created_at);
create index results_key on analysis.results (result_key, created_at desc);

-- One row per call x rep x dimension: which result stands for it now, or why there is none.
create table analysis.call_results (
    call_id text not null,
    rep_id text not null,
    dimension text not null,
    week_start date not null,
    -- set when an answer stands; a failed state has none
    result_key text,
    result_created_at timestamptz,
    rubric_version text not null,
    status text not null
        check (status in ('scored', 'refused', 'failed', 'over_budget', 'not_eligible')),
    reason text,
    is_cache_hit boolean not null default false,
    run_id text,
    updated_at timestamptz not null default now(),
    primary key (call_id, rep_id, dimension, rubric_version)
);
create index call_results_week on analysis.call_results (week_start);

-- One row per attempt at a Claude request, paid or not, and per answer served from the cache.
create table analysis.requests (
    request_id text not null default gen_random_uuid()::text,
    api_request_id text,
    call_id text,
    rep_id text,
    dimension text not null,
    result_key text,
    requested_model text not null,
    model text not null,
    is_sandbox boolean not null,
    kind text not null default 'live' check (kind in ('live', 'batch', 'repair', 'count', 'cache')),
    -- leader writes the shared prefix, followers read it
    position text check (position in ('leader', 'follower', 'single')),
    attempt integer not null default 1,
    status text not null,
    stop_reason text,
    error_kind text,
    error text,
    -- hit: an earlier answer was served and nothing was sent
    cache_outcome text not null check (cache_outcome in ('hit', 'miss', 'forced', 'expired')),
    input_tokens bigint not null default 0,
    cache_read_tokens bigint not null default 0,
    cache_write_5m_tokens bigint not null default 0,
    cache_write_1h_tokens bigint not null default 0,
    output_tokens bigint not null default 0,
    thinking_tokens bigint not null default 0,
    cost_usd numeric not null default 0,
    -- what the same answer would have cost had it not come from the cache
    saved_usd numeric not null default 0,
    latency_ms integer,
    first_event_ms integer,
    run_id text,
    started_at timestamptz not null default now(),
    primary key (request_id, started_at)
) partition by range (started_at);
create index requests_call on analysis.requests (call_id);
create index requests_started on analysis.requests (started_at);

-- Quarters from the one `since` falls in to two ahead of today; called at the start of every run.
create function analysis.ensure_partitions(since date default current_date) returns void
language plpgsql as $$
declare
    quarter date := date_trunc('quarter', since);
    parent text;
    child text;
begin
    while quarter <= date_trunc('quarter', current_date) + interval '6 months' loop
        foreach parent in array array['results', 'requests'] loop
            child := format('%s_%s', parent, to_char(quarter, 'YYYY"q"Q'));
            if to_regclass('analysis.' || child) is null then
                execute format(
                    'create table if not exists analysis.%I partition of analysis.%I for values from (%L) to (%L)',
                    child, parent, quarter, quarter + interval '3 months'
                );
            end if;
        end loop;
        quarter := quarter + interval '3 months';
    end loop;
end $$;
select analysis.ensure_partitions();
