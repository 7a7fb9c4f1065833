"""One build of the marts at a time, whoever starts it: Dagster's pools know nothing of a run in another process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

logger = logging.getLogger(__name__)

LOCK = "call_coach marts"
# how dbt signs its connections when we start it
BUILDER = "call-coach marts"


@contextmanager
def exclusive_build(database_url: str) -> Iterator[None]:
    """Hold the build lock of this database; a second build waits for the first.

    A dbt that outlived its killed parent would still be building: its connections are ended first.
    """
    connection = psycopg.connect(database_url, autocommit=True, application_name="call-coach build lock")
    try:
        row = connection.execute("select pg_try_advisory_lock(hashtext(%s))", [LOCK]).fetchone()
        if not (row and row[0]):
            logger.info("waiting for another build of the marts to end")
            connection.execute("select pg_advisory_lock(hashtext(%s))", [LOCK])
        orphans = connection.execute(
            "select count(pg_terminate_backend(pid, 10000)) from pg_stat_activity "
            "where application_name = %s and datname = current_database() and pid <> pg_backend_pid()",
            [BUILDER],
        ).fetchone()
        if orphans and orphans[0]:
            logger.warning("ended %d connections of a build whose run was killed", orphans[0])
        yield
    finally:
        # the lock goes with the connection, also when the server is gone
        connection.close()
