"""Load HubSpot without Dagster: `DATABASE_URL=... HUBSPOT_ACCESS_TOKEN=... python -m dlt_pipelines.hubspot`.

Exit codes: 0 everything loaded, 1 something failed, 2 wrong settings, 3 partial (run again and it resumes).
"""

import argparse
import os
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from dlt_pipelines.errors import ApiError, LoadFailedError, wrong_settings
from dlt_pipelines.hubspot.settings import HubSpotSettings
from dlt_pipelines.hubspot.source import STREAMS, load
from dlt_pipelines.logs import LogSettings, write_logs

LOADED, FAILED, MISCONFIGURED, PARTIAL = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m dlt_pipelines.hubspot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database-url", default=os.environ.get("DATABASE_URL"), help="default: DATABASE_URL")
    parser.add_argument("--mode", choices=("incremental", "full"), default="incremental")
    parser.add_argument("--streams", nargs="+", choices=STREAMS, metavar="STREAM", help=f"of {', '.join(STREAMS)}")
    options = parser.parse_args(arguments)
    if not options.database_url:
        sys.stderr.write("DATABASE_URL is not set: give the Postgres to load into\n")
        return MISCONFIGURED
    try:
        write_logs(LogSettings(log_level=os.environ.get("LOG_LEVEL") or "WARNING"))
        report = load(
            database_url=options.database_url,
            settings=HubSpotSettings(),
            streams=options.streams,
            mode=options.mode,
            on_progress=_show,
        )
    except (ApiError, LoadFailedError, ValueError) as error:
        text = wrong_settings(error, prefix="HUBSPOT_") if isinstance(error, ValidationError) else str(error)
        sys.stderr.write(f"{text}\n")
        return MISCONFIGURED if isinstance(error, ValueError) else FAILED
    for line in report.lines():
        sys.stdout.write(f"{line}\n")
    return PARTIAL if report.is_partial else LOADED


def _show(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
