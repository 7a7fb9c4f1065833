-- What someone just marked or asked for must show at once, not after the next build of the marts.
grant select on ops.moment_reviews, ops.queue_marks, ops.analysis_requests to call_coach_reader;

-- A change to the knowledge base is proposed through MCP and takes effect once a person accepts it.
create table ops.knowledge_proposals (
    proposal_id text primary key default gen_random_uuid()::text,
    document_id text not null,
    kind text not null check (kind in ('product', 'competitor')),
    title text not null,
    body text not null,
    reason text not null,
    proposed_by text not null,
    status text not null default 'received' check (status in ('received', 'accepted', 'rejected')),
    decided_by text,
    proposed_at timestamptz not null default now(),
    decided_at timestamptz
);
grant insert, select on ops.knowledge_proposals to call_coach_reader;
