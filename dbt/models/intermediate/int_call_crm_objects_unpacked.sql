{{
    config(
        materialized='incremental',
        incremental_strategy='append',
        on_schema_change='append_new_columns',
        indexes=[
            {'columns': ['call_id', 'kind', 'rank_in_call'], 'unique': True},
        ],
        pre_hook="{{ delete_replaced_rows(
            parent=ref('int_calls_fingerprinted'),
            key=['call_id'],
        ) }}",
        post_hook="{{ index_hashes() }}",
    )
}}

with

fingerprints as materialized (
    select fingerprint.*
    from {{ ref('int_calls_fingerprinted') }} as fingerprint
    where true {{ where_not_held('fingerprint') }}
),

calls as (
    select
        stg_calls.*,
        fingerprints.source_hash
    from {{ ref('stg_gong__calls') }} as stg_calls
    inner join fingerprints on stg_calls.call_id = fingerprints.call_id
    where not stg_calls.is_deleted
),

crm_objects as (
    select
        calls.call_id,
        calls.source_hash,
        systems.item ->> 'system' as crm_system,
        unpacked.item ->> 'objectType' as object_type,
        unpacked.item ->> 'objectId' as object_id,
        unpacked.item ->> 'timing' as timing,
        {{ crm_attributes("unpacked.item -> 'fields'") }} as attributes
    from calls
    cross join lateral jsonb_array_elements({{ as_array('calls.context') }}) as systems (item)
    cross join
        lateral jsonb_array_elements({{ as_array("systems.item -> 'objects'") }})
            as unpacked (item)
    where unpacked.item ->> 'objectId' is not null
),

named as (
    select
        crm_objects.*,
        case
            when lower(crm_objects.object_type) in ('opportunity', 'deal') then 'deal'
            when lower(crm_objects.object_type) in ('account', 'company') then 'account'
            else 'other'
        end as kind
    from crm_objects
),

-- The state at the time of the call describes the call; today's state is the next best.
ranked as (
    select
        named.*,
        row_number() over (
            partition by named.call_id, named.kind
            order by
                coalesce(named.timing = 'TimeOfCall', false) desc,
                named.object_id asc,
                named.timing asc nulls last
        ) as rank_in_call
    from named
    where named.kind <> 'other'
),

final as (
    select
        call_id,
        kind,
        rank_in_call,
        crm_system,
        object_type,
        object_id,
        timing,
        attributes,
        source_hash
    from ranked
)

select * from final
