create schema if not exists ops;

create table ops.webhook_inbox (
    inbox_id bigint generated always as identity primary key,
    endpoint text not null,
    -- the sender's id where it gives one, else endpoint + sha-256 of the raw body: a repeated delivery is one row
    event_key text not null unique,
    scheme text not null,
    body bytea not null,
    body_sha256 text not null,
    headers jsonb not null default '{}',
    call_id text,
    call_started_at timestamptz,
    is_test boolean not null default false,
    status text not null default 'received'
        check (status in ('received', 'processing', 'completed', 'failed', 'parked')),
    reason text,
    attempts integer not null default 0,
    -- failures in a row; an answer that Gong has nothing yet is not one
    failures integer not null default 0,
    -- the batch that took this event; the run it caused carries it as a tag
    claim_id text,
    -- the week whose run that is: one batch at a time works on a week
    batch_week date,
    run_id text,
    received_at timestamptz not null default now(),
    claimed_at timestamptz,
    next_attempt_at timestamptz,
    finished_at timestamptz
);
create index webhook_inbox_waiting on ops.webhook_inbox (received_at) where status in ('received', 'processing', 'failed');
create index webhook_inbox_call on ops.webhook_inbox (call_id);
create index webhook_inbox_body on ops.webhook_inbox (body_sha256);

create table ops.analysis_requests (
    request_id text primary key default gen_random_uuid()::text,
    call_id text,
    week_start date,
    dimensions text[],
    is_forced boolean not null default false,
    requested_by text not null,
    requested_via text not null check (requested_via in ('cli', 'mcp', 'dashboard')),
    status text not null default 'received'
        check (status in ('received', 'processing', 'completed', 'failed', 'parked')),
    reason text,
    attempts integer not null default 0,
    failures integer not null default 0,
    claim_id text,
    run_id text,
    requested_at timestamptz not null default now(),
    claimed_at timestamptz,
    next_attempt_at timestamptz,
    finished_at timestamptz,
    check (call_id is not null or week_start is not null)
);

create table ops.dead_letters (
    dead_letter_id bigint generated always as identity primary key,
    source text not null,
    stream text not null,
    key text not null,
    payload jsonb,
    error text not null,
    attempts integer not null default 1,
    status text not null default 'open' check (status in ('open', 'resolved', 'given_up')),
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    resolved_at timestamptz,
    unique (source, stream, key)
);

-- Opinions and marks are appended, never updated: the newest row of a person and a moment counts.
create table ops.moment_reviews (
    review_id bigint generated always as identity primary key,
    evidence_id text not null,
    call_id text not null,
    viewer_id text not null,
    verdict text not null check (verdict in ('agree', 'disagree')),
    note text,
    reviewed_at timestamptz not null default now()
);
create index moment_reviews_evidence on ops.moment_reviews (evidence_id);

create table ops.queue_marks (
    mark_id bigint generated always as identity primary key,
    moment_id text not null,
    viewer_id text not null,
    mark text not null check (mark in ('done', 'snoozed', 'open')),
    snoozed_until date,
    note text,
    marked_at timestamptz not null default now()
);
create index queue_marks_moment on ops.queue_marks (moment_id);

create table ops.audit_log (
    audit_id bigint generated always as identity primary key,
    viewer_id text not null,
    surface text not null,
    action text not null,
    arguments_sha256 text,
    row_count integer,
    latency_ms integer,
    outcome text not null default 'ok',
    happened_at timestamptz not null default now()
);

create table ops.reviews (
    review_id text primary key,
    week_start date not null,
    kind text not null check (kind in ('rep', 'team', 'leadership')),
    recipient_id text not null,
    version text not null,
    subject text not null,
    markdown text not null,
    html text not null,
    slack_blocks jsonb not null,
    facts jsonb not null default '{}',
    rendered_at timestamptz not null default now(),
    unique (week_start, kind, recipient_id, version)
);

-- The charts of a review's e-mail, kept so that a message sent again is the same bytes.
create table ops.review_images (
    review_id text not null references ops.reviews (review_id) on delete cascade,
    content_id text not null,
    alt_text text not null,
    png bytea not null,
    primary key (review_id, content_id)
);

create table ops.review_deliveries (
    delivery_id bigint generated always as identity primary key,
    review_id text not null references ops.reviews (review_id) on delete cascade,
    channel text not null check (channel in ('email', 'slack', 'file')),
    address text not null,
    status text not null check (status in ('sending', 'sent', 'failed', 'written')),
    error text,
    attempted_at timestamptz not null default now(),
    unique (review_id, channel, address)
);

-- One row per cause from its first sighting until it is gone; a message goes out when the row opens.
create table ops.alerts (
    alert_id bigint generated always as identity primary key,
    cause text not null,
    title text not null,
    detail text not null,
    what_to_do text not null,
    opened_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    announced_at timestamptz,
    resolved_at timestamptz
);
create unique index alerts_open on ops.alerts (cause) where resolved_at is null;

-- What was erased must stay erased: the loader consults this before it writes.
create table ops.tombstones (
    subject_kind text not null check (subject_kind in ('call', 'rep', 'account')),
    subject_sha256 text not null,
    erased_at timestamptz not null default now(),
    erased_by text not null,
    counts jsonb not null default '{}',
    primary key (subject_kind, subject_sha256)
);
