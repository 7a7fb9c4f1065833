-- Windows end with the newest scored call of the whole company, also for a rep who sees only their own.
create function ops.newest_scored_call_at() returns timestamptz
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return (select max(scores.started_at) from marts.fct_scores as scores where scores.status = 'scored');
end $$;
revoke execute on function ops.newest_scored_call_at() from public;
grant execute on function ops.newest_scored_call_at() to call_coach_reader;

-- What people write is appended by anyone the application lets in and read like the calls it is about.
alter table ops.moment_reviews enable row level security;
create policy reader_sees_own_calls on ops.moment_reviews for select to call_coach_reader
using ((select ops.sees_everyone()) or call_id in (select ops.visible_calls()));
create policy reader_appends on ops.moment_reviews for insert to call_coach_reader with check (true);

alter table ops.analysis_requests enable row level security;
create policy reader_sees_own_calls on ops.analysis_requests for select to call_coach_reader
using (
    (select ops.sees_everyone())
    or requested_by = (select ops.viewer())
    or call_id in (select ops.visible_calls())
);
create policy reader_appends on ops.analysis_requests for insert to call_coach_reader with check (true);

alter table ops.queue_marks enable row level security;
create policy reader_is_known on ops.queue_marks for select to call_coach_reader
using ((select ops.viewer()) is not null);
create policy reader_appends on ops.queue_marks for insert to call_coach_reader with check (true);

alter table ops.knowledge_proposals enable row level security;
create policy reader_is_known on ops.knowledge_proposals for select to call_coach_reader
using ((select ops.viewer()) is not null);
create policy reader_appends on ops.knowledge_proposals for insert to call_coach_reader with check (true);
