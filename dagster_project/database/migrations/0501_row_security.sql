-- The second lock behind the query layer: who reads as `call_coach_reader` sees the rows of the viewer that its
-- transaction names with set_config('call_coach.viewer', <rep id>, true), and without a viewer none. '*' stands for
-- the people who see everyone. Policies go through functions because dbt replaces tables: a policy that named another
-- table would vanish with it. The owner is not forced under the policies: it is dbt, which reads marts to build marts.

create function ops.viewer() returns text
language sql stable parallel safe as $$
    select nullif(current_setting('call_coach.viewer', true), '')
$$;

create function ops.sees_everyone() returns boolean
language sql stable parallel safe as $$
    select coalesce(current_setting('call_coach.viewer', true) = '*', false)
$$;

-- The viewer and whoever reports to them at any depth.
create function ops.visible_reps() returns text[]
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return array(
        select reps.rep_id
        from marts.dim_reps as reps
        where reps.rep_id = ops.viewer() or ops.viewer() = any(reps.manager_path)
    );
end $$;

create function ops.visible_calls() returns setof text
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp as $$
begin
    return query
    select calls.call_id from marts.fct_calls as calls where calls.rep_id = any(ops.visible_reps());
end $$;

-- Puts the policies on one mart; does nothing, and so takes no lock, where they stand already.
create function ops.protect_mart(relation regclass) returns void
language plpgsql as $$
declare
    name text := relation::text;
    has_columns text[];
    rule text;
    condition text;
    old_rule name;
begin
    if (select relkind from pg_class where oid = relation) not in ('r', 'p') then
        raise exception '% is not a table: row-level security cannot protect what people read from it. '
            'Materialise it as a table or incrementally.', name;
    end if;
    has_columns := array(
        select attname from pg_attribute where attrelid = relation and attnum > 0 and not attisdropped
    );
    if 'rep_id' = any(has_columns) then
        rule := 'reader_sees_own_reps';
        condition := '(select ops.sees_everyone()) or rep_id = any((select ops.visible_reps())::text[])';
    elsif 'recipient_id' = any(has_columns) then
        rule := 'reader_sees_own_recipients';
        condition := '(select ops.sees_everyone()) or recipient_id = any((select ops.visible_reps())::text[])';
    elsif 'call_id' = any(has_columns) then
        rule := 'reader_sees_own_calls';
        condition := '(select ops.sees_everyone()) or call_id in (select ops.visible_calls())';
    else
        rule := 'reader_is_known';
        condition := '(select ops.viewer()) is not null';
    end if;
    if
        (select relrowsecurity from pg_class where oid = relation)
        and (select array_agg(polname order by polname) from pg_policy where polrelid = relation)
            = array['analyst_sees_all', rule]::name[]
        and has_table_privilege('call_coach_reader', relation, 'select')
        and has_table_privilege('call_coach_analyst', relation, 'select')
    then
        return;
    end if;
    execute format('alter table %s enable row level security', name);
    for old_rule in select polname from pg_policy where polrelid = relation loop
        execute format('drop policy %I on %s', old_rule, name);
    end loop;
    execute format('create policy %I on %s for select to call_coach_reader using (%s)', rule, name, condition);
    execute format('create policy analyst_sees_all on %s for select to call_coach_analyst using (true)', name);
    execute format('grant select on %s to call_coach_reader, call_coach_analyst', name);
end $$;

-- What the build left open: doctor reports it, and a test after every build expects none.
create function ops.unprotected_marts() returns table (relation text, what text)
language sql stable as $$
    select
        tables.oid::regclass::text,
        case
            when tables.relkind not in ('r', 'p') then 'is not a table'
            when not tables.relrowsecurity then 'has no row-level security'
            when not exists (select 1 from pg_policy where polrelid = tables.oid and polname like 'reader\_%')
                then 'has no policy for the reader'
            else 'cannot be read by the roles that should'
        end
    from pg_class as tables
    where
        tables.relnamespace = to_regnamespace('marts')
        and tables.relkind in ('r', 'p', 'v', 'm', 'f')
        and (
            tables.relkind not in ('r', 'p')
            or not tables.relrowsecurity
            or not exists (select 1 from pg_policy where polrelid = tables.oid and polname like 'reader\_%')
            or not has_table_privilege('call_coach_reader', tables.oid, 'select')
            or not has_table_privilege('call_coach_analyst', tables.oid, 'select')
        )
    order by 1
$$;

revoke execute on function ops.visible_reps(), ops.visible_calls(), ops.protect_mart(regclass) from public;
grant execute on function ops.visible_reps(), ops.visible_calls() to call_coach_reader;

-- The reader and the analyst need neither scratch tables nor a schema to create things in.
do $$
begin
    execute format('revoke temporary on database %I from public', current_database());
    revoke create on schema public from public;
exception when insufficient_privilege then
    raise notice 'public rights on this database belong to another role and stay as they are';
end $$;
