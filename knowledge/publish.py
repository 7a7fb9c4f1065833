"""Writes the knowledge folder into the schema `knowledge`. Rubrics and documents keep every version; one is current."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import psycopg

from knowledge.documents import Document, load_documents
from knowledge.metrics import Metric, load_metrics
from knowledge.models import ModelCatalogue, load_models
from knowledge.rubrics import Rubric, load_rubrics

# two publishing runs at once would both see the old current version
PUBLISH_LOCK = 5_224_001


@dataclass(frozen=True)
class PublishReport:
    """What a run changed; all zero when everything was there already."""

    rubrics_added: int = 0
    rubrics_retired: int = 0
    documents_added: int = 0
    documents_retired: int = 0
    prices_written: int = 0
    metrics_written: int = 0

    @property
    def is_unchanged(self) -> bool:
        return not any(asdict(self).values())


def publish(
    connection: psycopg.Connection,
    *,
    rubrics: Sequence[Rubric] | None = None,
    documents: Sequence[Document] | None = None,
    models: ModelCatalogue | None = None,
    metrics: Sequence[Metric] | None = None,
) -> PublishReport:
    """Bring the schema to the state of the files, in one transaction.

    A version that was published before and comes back becomes current again; a file that is gone leaves none current.
    """
    rubrics = load_rubrics() if rubrics is None else rubrics
    documents = load_documents() if documents is None else documents
    models = load_models() if models is None else models
    metrics = load_metrics() if metrics is None else metrics
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (PUBLISH_LOCK,))
        rubrics_added = sum(_publish_rubric(cursor, rubric) for rubric in rubrics)
        rubrics_retired = _retire(
            cursor,
            "update knowledge.rubrics set is_current = false where is_current"
            " and (dimension, rubric_version) not in (select * from unnest(%s::text[], %s::text[]))",
            [(rubric.dimension, rubric.rubric_version) for rubric in rubrics],
        )
        documents_added = sum(_publish_document(cursor, document) for document in documents)
        documents_retired = _retire(
            cursor,
            "update knowledge.documents set is_current = false where is_current"
            " and (document_id, document_version) not in (select * from unnest(%s::text[], %s::text[]))",
            [(document.document_id, document.document_version) for document in documents],
        )
        prices_written = _publish_prices(cursor, models)
        metrics_written = _publish_metrics(cursor, metrics)
    return PublishReport(
        rubrics_added, rubrics_retired, documents_added, documents_retired, prices_written, metrics_written
    )


def _publish_rubric(cursor: psycopg.Cursor, rubric: Rubric) -> int:
    body = rubric.model_dump(mode="json", exclude={"source_text"})
    cursor.execute(
        """
        insert into knowledge.rubrics (dimension, rubric_version, title, body, source_text)
        values (%s, %s, %s, %s, %s)
        on conflict (dimension, rubric_version) do update set
            is_current = true,
            title = excluded.title,
            body = excluded.body,
            source_text = excluded.source_text
        where not rubrics.is_current or rubrics.body <> excluded.body
        """,
        (rubric.dimension, rubric.rubric_version, rubric.title, json.dumps(body), rubric.source_text),
    )
    return cursor.rowcount


def _publish_document(cursor: psycopg.Cursor, document: Document) -> int:
    body = {
        "document_id": document.document_id,
        "kind": document.kind,
        "title": document.title,
        "text": document.text,
        "statements": [
            {
                "id": statement.id,
                "text": statement.text,
                "date": statement.date.isoformat(),
                "source": statement.source,
                "often_said_wrongly": list(statement.often_said_wrongly),
            }
            for statement in document.statements
        ],
    }
    cursor.execute(
        """
        insert into knowledge.documents (document_id, document_version, kind, title, body, source_text)
        values (%s, %s, %s, %s, %s, %s)
        on conflict (document_id, document_version) do update set is_current = true
        where not documents.is_current
        """,
        (
            document.document_id,
            document.document_version,
            document.kind,
            document.title,
            json.dumps(body),
            document.source_text,
        ),
    )
    return cursor.rowcount


def _retire(cursor: psycopg.Cursor, statement: str, current: Sequence[tuple[str, str]]) -> int:
    cursor.execute(statement, ([key for key, _ in current], [version for _, version in current]))
    return cursor.rowcount


def _publish_prices(cursor: psycopg.Cursor, models: ModelCatalogue) -> int:
    """Prices are corrected in place: a wrong number in the file is a mistake, not a version."""
    written = 0
    for model in models.models:
        for price in model.prices:
            cursor.execute(
                """
                insert into knowledge.model_prices as known (
                    model, valid_from, prompt_tokens_above, input_usd_per_mtok, output_usd_per_mtok,
                    cache_write_5m_usd_per_mtok, cache_write_1h_usd_per_mtok, cache_read_usd_per_mtok,
                    batch_multiplier, is_sandbox, source
                )
                values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                on conflict (model, valid_from, prompt_tokens_above) do update set
                    input_usd_per_mtok = excluded.input_usd_per_mtok,
                    output_usd_per_mtok = excluded.output_usd_per_mtok,
                    cache_write_5m_usd_per_mtok = excluded.cache_write_5m_usd_per_mtok,
                    cache_write_1h_usd_per_mtok = excluded.cache_write_1h_usd_per_mtok,
                    cache_read_usd_per_mtok = excluded.cache_read_usd_per_mtok,
                    batch_multiplier = excluded.batch_multiplier,
                    is_sandbox = excluded.is_sandbox,
                    source = excluded.source
                where (
                    known.input_usd_per_mtok, known.output_usd_per_mtok, known.cache_write_5m_usd_per_mtok,
                    known.cache_write_1h_usd_per_mtok, known.cache_read_usd_per_mtok, known.batch_multiplier,
                    known.is_sandbox, known.source
                ) is distinct from (
                    excluded.input_usd_per_mtok, excluded.output_usd_per_mtok, excluded.cache_write_5m_usd_per_mtok,
                    excluded.cache_write_1h_usd_per_mtok, excluded.cache_read_usd_per_mtok, excluded.batch_multiplier,
                    excluded.is_sandbox, excluded.source
                )
                """,
                (
                    model.id,
                    price.valid_from,
                    price.prompt_tokens_above,
                    price.input,
                    price.output,
                    price.cache_write_5m,
                    price.cache_write_1h,
                    price.cache_read,
                    price.batch_multiplier,
                    model.is_sandbox,
                    price.source,
                ),
            )
            written += cursor.rowcount
    return written


def _publish_metrics(cursor: psycopg.Cursor, metrics: Sequence[Metric]) -> int:
    """Definitions are corrected in place, and one that is no longer in the file is no longer defined."""
    cursor.execute("delete from knowledge.metrics where metric <> all(%s)", ([metric.metric for metric in metrics],))
    written = cursor.rowcount
    for metric in metrics:
        cursor.execute(
            """
            insert into knowledge.metrics as known (
                metric, title, definition, unit, grain, when_empty, caution, source
            )
            values (
                %(metric)s, %(title)s, %(definition)s, %(unit)s, %(grain)s, %(when_empty)s, %(caution)s, %(source)s
            )
            on conflict (metric) do update set
                title = excluded.title,
                definition = excluded.definition,
                unit = excluded.unit,
                grain = excluded.grain,
                when_empty = excluded.when_empty,
                caution = excluded.caution,
                source = excluded.source
            where (
                known.title, known.definition, known.unit, known.grain, known.when_empty, known.caution, known.source
            ) is distinct from (
                excluded.title, excluded.definition, excluded.unit, excluded.grain, excluded.when_empty,
                excluded.caution, excluded.source
            )
            """,
            metric.model_dump(),
        )
        written += cursor.rowcount
    return written
