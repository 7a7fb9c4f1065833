-- What every number means, as knowledge/metrics.yaml has it. No versions: a corrected sentence is a correction.
create table knowledge.metrics (
    metric text primary key,
    title text not null,
    definition text not null,
    unit text not null,
    grain text not null,
    when_empty text not null,
    caution text not null,
    source text not null,
    loaded_at timestamptz not null default now()
);
