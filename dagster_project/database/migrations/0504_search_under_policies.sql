-- Under row-level security a condition may use an index only if its function is declared to give nothing away about
-- rows that are filtered out. Matching a text search is such a function, but Postgres does not say so: without this a
-- search reads every turn (measured: 18 ms instead of 0.2 ms on 25,000 turns, and growing with them). Declaring it takes
-- a superuser, so on a managed server search stays slower. It belongs to the server, not to a dump: a restore calls it.
create function ops.let_search_use_its_index() returns boolean
language plpgsql as $$
begin
    alter function pg_catalog.ts_match_vq(tsvector, tsquery) leakproof;
    return true;
exception when insufficient_privilege then
    return false;
end $$;
revoke execute on function ops.let_search_use_its_index() from public;
select ops.let_search_use_its_index();
