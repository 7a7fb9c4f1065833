with recursive

users as (
    select * from {{ ref('int_users_classified') }}
    where is_latest
),

calls as (
    select
        rep_id,
        min(started_at) as first_call_at,
        count(*) as n_calls
    from {{ ref('int_calls_classified') }}
    where not is_deleted and rep_id is not null
    group by rep_id
),

-- A call may name a host whom the user list does not hold (yet): the call must not get lost.
hosts as (
    select distinct on (parties.user_id)
        parties.user_id as rep_id,
        parties.email,
        parties.title,
        coalesce(parties.party_name, parties.email, parties.user_id) as rep_name,
        {{ role_of('parties.title') }} as role
    from {{ ref('int_call_parties_unpacked') }} as parties
    where parties.side = 'rep'
    order by parties.user_id asc, parties.call_id desc
),

people as (
    select
        rep_id,
        rep_name,
        email,
        title,
        role,
        manager_id,
        is_active
    from users
    union all
    select
        calls.rep_id,
        coalesce(hosts.rep_name, calls.rep_id) as rep_name,
        hosts.email,
        hosts.title,
        coalesce(hosts.role, 'other') as role,
        cast(null as text) as manager_id,
        false as is_active
    from calls
    left join hosts on calls.rep_id = hosts.rep_id
    where not exists (
        select 1 from users
        where users.rep_id = calls.rep_id
    )
),

-- A circle of managers ends where it would begin again.
chains as (
    select
        rep_id,
        manager_id,
        array[manager_id] as manager_path
    from people
    where manager_id is not null
    union all
    select
        chains.rep_id,
        people.manager_id,
        chains.manager_path || people.manager_id as manager_path
    from chains
    inner join people on chains.manager_id = people.rep_id
    where
        people.manager_id is not null
        and people.manager_id <> all(chains.manager_path)
        and people.manager_id <> chains.rep_id
),

paths as (
    select distinct on (rep_id)
        rep_id,
        manager_path
    from chains
    order by rep_id asc, cardinality(manager_path) desc
),

final as (
    select
        people.rep_id,
        people.rep_name,
        people.email,
        people.title,
        people.role,
        people.manager_id,
        managers.rep_name as manager_name,
        people.is_active,
        calls.first_call_at,
        cast(coalesce(calls.n_calls, 0) as integer) as n_calls,
        coalesce(people.manager_id, 'none') as team_id,
        case
            when people.manager_id is null then 'No team'
            else 'Team ' || coalesce(managers.rep_name, people.manager_id)
        end as team_name,
        coalesce(paths.manager_path, cast(array[] as text[])) as manager_path,
        exists(
            select 1 from people as report
            where report.manager_id = people.rep_id)
            as is_manager
    from people
    left join people as managers on people.manager_id = managers.rep_id
    left join paths on people.rep_id = paths.rep_id
    left join calls on people.rep_id = calls.rep_id
)

select * from final
