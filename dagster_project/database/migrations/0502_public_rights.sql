-- A database's own rights are not part of a dump: a restore calls this again.
create function ops.withdraw_public_rights() returns void
language plpgsql as $$
begin
    execute format('revoke temporary on database %I from public', current_database());
    revoke create on schema public from public;
exception when insufficient_privilege then
    raise notice 'public rights on this database belong to another role and stay as they are';
end $$;
revoke execute on function ops.withdraw_public_rights() from public;
