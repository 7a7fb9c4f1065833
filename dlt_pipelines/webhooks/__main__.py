"""`python -m dlt_pipelines.webhooks --port 8080`: one JSON line with the address, then webhooks until SIGTERM."""

import argparse
import json
import logging
import sys

from pydantic import ValidationError

from dlt_pipelines.logs import LogSettings, write_logs
from dlt_pipelines.webhooks.receiver import build_app
from dlt_pipelines.webhooks.server import serve
from dlt_pipelines.webhooks.settings import WebhookSettings

WRONG_SETTING = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dlt_pipelines.webhooks", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free port")
    arguments = parser.parse_args()
    try:
        write_logs(LogSettings())
        settings = WebhookSettings()
    except ValidationError as error:
        sys.stderr.write("\n".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()) + "\n")
        return WRONG_SETTING
    # our own line says once that Postgres is away; the pool would repeat it at every attempt
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    if not settings.database_url:
        sys.stderr.write("DATABASE_URL is not set: the receiver has nowhere to keep events.\n")
        return WRONG_SETTING
    if not settings.has_a_scheme:
        sys.stderr.write(
            "No key is configured, so no event could be trusted. Set GONG_WEBHOOK_PUBLIC_KEY (Gong's signed JWT), "
            "GONG_WEBHOOK_URL_SECRET (secret in the address) or GONG_WEBHOOK_SECRET (HMAC).\n"
        )
        return WRONG_SETTING
    serve(build_app(settings), settings, port=arguments.port, on_ready=_announce)
    return 0


def _announce(url: str) -> None:
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
