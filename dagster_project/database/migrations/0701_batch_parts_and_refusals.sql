-- A long call goes into a batch in parts, one request each; the keys of an item are then keys of its part.
alter table analysis.batch_items add column chunk_index integer not null default 0;
alter table analysis.batch_items add column n_chunks integer not null default 1;

-- How the newest attempt ended where an older score keeps standing: a refusal is not paid for on every run.
alter table analysis.call_results add column attempted_status text;
update analysis.call_results set attempted_status = status where attempted_key is not null;
