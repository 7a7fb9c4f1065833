-- Roles are shared by every database of a server: several migrations may race to create them.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['call_coach_receiver', 'call_coach_reader', 'call_coach_analyst'] loop
        begin
            execute format('create role %I nologin', wanted);
        exception when duplicate_object or unique_violation then
            null;
        end;
        begin
            execute format('grant %I to current_user', wanted);
        exception when unique_violation or insufficient_privilege then
            null;
        end;
    end loop;
end $$;

create schema if not exists marts;
create schema if not exists dagster;

grant usage on schema ops to call_coach_receiver, call_coach_reader;
grant insert on ops.webhook_inbox to call_coach_receiver;
grant insert on ops.analysis_requests, ops.moment_reviews, ops.queue_marks, ops.audit_log to call_coach_reader;
grant usage on schema marts to call_coach_reader, call_coach_analyst;
alter default privileges in schema marts grant select on tables to call_coach_reader, call_coach_analyst;
