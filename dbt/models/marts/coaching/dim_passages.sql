with

documents as (
    select * from {{ ref('stg_knowledge__documents') }}
),

passages as (
    select
        unpacked.passage ->> 'id' as knowledge_id,
        documents.document_id,
        documents.document_version,
        documents.kind as document_kind,
        documents.title as document_title,
        unpacked.passage ->> 'text' as passage,
        unpacked.passage ->> 'source' as source,
        {{ date_of("unpacked.passage ->> 'date'") }} as checked_on,
        documents.is_current,
        documents.loaded_at
    from documents
    cross join
        lateral jsonb_array_elements({{ as_array("documents.body -> 'statements'") }})
            as unpacked (passage)
),

final as (
    select
        passages.*,
        lead(passages.loaded_at) over in_time as replaced_at,
        row_number() over in_time = 1 as is_first
    from passages
    window in_time as (
        partition by passages.knowledge_id order by passages.loaded_at, passages.document_version
    )
)

select
    knowledge_id,
    document_id,
    document_version,
    document_kind,
    document_title,
    passage,
    source,
    checked_on,
    is_current,
    is_first,
    loaded_at,
    replaced_at
from final
