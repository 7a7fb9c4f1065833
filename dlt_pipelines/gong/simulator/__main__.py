"""Serve a simulated Gong company until SIGTERM or Ctrl-C; the first line on stdout is `{"url": ...}`."""

import argparse
import importlib
import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from dlt_pipelines.gong.simulator.faults import KINDS, MEANING, Fault
from dlt_pipelines.gong.simulator.server import PAGE_SIZE, Simulator
from dlt_pipelines.gong.simulator.tenant import Tenant, TenantError


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dlt_pipelines.gong.simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--data", type=Path, metavar="DIR", help="serve this folder of Gong-shaped JSON")
    parser.add_argument(
        "--until", type=date.fromisoformat, metavar="DATE", help="the company's last day; today by default"
    )
    parser.add_argument("--page-size", type=int, default=PAGE_SIZE, help="calls on a page")
    parser.add_argument(
        "--fault",
        dest="faults",
        action="append",
        default=[],
        type=_fault,
        metavar="NAME[:STRIKES[:EVERY]]",
        help="may be repeated; " + "; ".join(f"{kind}: {meaning}" for kind, meaning in MEANING.items()),
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        tenant = _tenant(options.data, options.until)
    except TenantError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    stop = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stop.set())
    with Simulator(tenant, faults=options.faults, page_size=options.page_size).serve(port=options.port) as url:
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


def _fault(text: str) -> Fault:
    name, _, numbers = text.partition(":")
    strikes, _, every = numbers.partition(":")
    for kind in KINDS:
        if kind == name:
            return Fault(kind, strikes=int(strikes or 2), every=int(every or 2))
    raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(KINDS)}")


def _tenant(folder: Path | None, until: date | None) -> Tenant:
    if folder is not None:
        return Tenant.from_folder(folder, until=until)
    # building the company is work, and a folder needs none of it
    company = importlib.import_module("dlt_pipelines.gong.simulator.company")
    built = company.build_company(until=until or datetime.now(UTC).date())
    lists = {
        name: list(value)
        for name in (
            "workspaces",
            "trackers",
            "scorecards",
            "answered_scorecards",
            "interaction_stats",
            "library_folders",
        )
        if (value := getattr(built, name, None))
    }
    return Tenant(users=list(built.users), calls=list(built.calls), transcripts=dict(built.transcripts), **lists)


if __name__ == "__main__":
    sys.exit(main())
