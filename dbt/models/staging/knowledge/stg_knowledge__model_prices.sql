with

source as (
    select * from {{ source('knowledge', 'model_prices') }}
),

renamed as (
    select
        model,
        valid_from,
        prompt_tokens_above,
        input_usd_per_mtok,
        output_usd_per_mtok,
        cache_write_5m_usd_per_mtok,
        cache_write_1h_usd_per_mtok,
        cache_read_usd_per_mtok,
        batch_multiplier,
        is_sandbox,
        source as price_source,
        loaded_at
    from source
)

select * from renamed
