with

users as (
    select * from {{ ref('int_users_classified') }}
),

-- What was true before the first load is not known: the oldest validity reaches back.
managers as (
    select * from users
    where is_latest
),

final as (
    select
        users.rep_id,
        users.valid_from,
        users.valid_to,
        users.is_first,
        users.rep_name,
        users.email,
        users.title,
        users.role,
        users.manager_id,
        managers.rep_name as manager_name,
        users.valid_to is null as is_open,
        coalesce(users.manager_id, 'none') as team_id
    from users
    left join managers on users.manager_id = managers.rep_id
)

select * from final
