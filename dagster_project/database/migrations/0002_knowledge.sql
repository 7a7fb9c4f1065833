create schema if not exists knowledge;

-- Every version is kept: a score names the rubric version it was made under.
create table knowledge.rubrics (
    dimension text not null,
    rubric_version text not null,
    title text not null,
    body jsonb not null,
    source_text text not null,
    is_current boolean not null default true,
    loaded_at timestamptz not null default now(),
    primary key (dimension, rubric_version)
);

create table knowledge.documents (
    document_id text not null,
    document_version text not null,
    kind text not null check (kind in ('policy', 'product', 'competitor')),
    title text not null,
    body jsonb not null,
    source_text text not null,
    is_current boolean not null default true,
    loaded_at timestamptz not null default now(),
    primary key (document_id, document_version)
);

create table knowledge.model_prices (
    model text not null,
    valid_from date not null,
    prompt_tokens_above bigint not null default 0,
    input_usd_per_mtok numeric not null,
    output_usd_per_mtok numeric not null,
    cache_write_5m_usd_per_mtok numeric not null,
    cache_write_1h_usd_per_mtok numeric not null,
    cache_read_usd_per_mtok numeric not null,
    batch_multiplier numeric not null default 0.5,
    is_sandbox boolean not null default false,
    source text not null,
    loaded_at timestamptz not null default now(),
    primary key (model, valid_from, prompt_tokens_above)
);
