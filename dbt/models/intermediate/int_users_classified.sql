{{ config(indexes=[{'columns': ['rep_id', 'valid_from'], 'unique': True}]) }}

with

users as (
    select * from {{ ref('stg_gong__users') }}
),

classified as (
    select
        users.user_id as rep_id,
        users.valid_from,
        users.valid_to,
        users.email_address as email,
        users.title,
        users.manager_id,
        coalesce(
            nullif(trim(concat_ws(' ', users.first_name, users.last_name)), ''),
            users.email_address,
            users.user_id
        ) as rep_name,
        {{ role_of('users.title') }} as role,
        users.is_active and users.valid_to is null as is_active,
        row_number() over newest_first = 1 as is_latest,
        row_number() over (partition by users.user_id order by users.valid_from) = 1 as is_first
    from users
    window newest_first as (
        partition by users.user_id
        order by users.valid_to desc nulls first, users.valid_from desc
    )
)

select * from classified
