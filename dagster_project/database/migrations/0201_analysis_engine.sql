-- What a chunk was made from: the set difference compares this without reading a transcript.
alter table analysis.transcript_chunks add column source_hash text;
-- Of the turns first_turn_id..last_turn_id: the lines of the text name seconds, evidence wants milliseconds.
alter table analysis.transcript_chunks add column turn_starts_ms bigint[] not null default '{}';
alter table analysis.transcript_chunks add column turn_ends_ms bigint[] not null default '{}';

-- The key a refusal or a failure was met under, so that the same question is not paid for again on every run.
alter table analysis.call_results add column attempted_key text;
alter table analysis.call_results add column transcript_hash text;

-- Origin of the server that answered as "sandbox"; its answers serve the same server or the sandbox model, nobody else.
alter table analysis.results add column stand_in_origin text;

create index requests_open on analysis.requests (started_at) where status = 'sent';

create table analysis.batches (
    batch_id text primary key,
    model text not null,
    status text not null check (status in ('submitted', 'ended', 'collected', 'deleted')),
    n_requests integer not null,
    origin text not null,
    run_id text,
    submitted_at timestamptz not null default now(),
    ended_at timestamptz,
    collected_at timestamptz,
    deleted_at timestamptz
);

-- One row per request of a batch: one call, or one part of it, with all the dimensions it asks for.
create table analysis.batch_items (
    custom_id text primary key,
    batch_id text references analysis.batches (batch_id) on delete cascade,
    call_id text not null,
    rep_id text not null,
    week_start date not null,
    dimensions text[] not null,
    result_keys text[] not null,
    transcript_hash text not null,
    status text not null default 'waiting'
        check (status in ('waiting', 'succeeded', 'errored', 'canceled', 'expired', 'invalid')),
    error text,
    updated_at timestamptz not null default now()
);
create index batch_items_batch on analysis.batch_items (batch_id);
