with

prices as (
    select * from {{ ref('stg_knowledge__model_prices') }}
),

final as (
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
        price_source,
        lead(valid_from) over (
            partition by model, prompt_tokens_above order by valid_from
        ) as valid_to
    from prices
)

select * from final
