"""Serve the sandbox until it is told to stop; the first line on stdout is {"url": ...}."""

import argparse
import asyncio
import json
import signal
import socket
import sys

import uvicorn

from dagster_project.analysis.sandbox.faults import KINDS, Faults
from dagster_project.analysis.sandbox.server import Behaviour, Sandbox


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dagster_project.analysis.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--first-event", type=float, default=0.0, metavar="S", help="seconds until the first event")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="seconds from there to the end")
    parser.add_argument("--fault", action="append", default=[], metavar="KIND=SHARE", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("--obey-injections", action="store_true", help="believe what turns order")
    parser.add_argument("--flip-share", type=float, default=0.0, help="share of verdicts that change from call to call")
    parser.add_argument("--conformance", action="store_true", help="shapes only, for the SDK's own tests")
    return parser.parse_args(arguments)


def build(options: argparse.Namespace) -> Sandbox:
    switches = []
    for text in options.fault:
        kind, _, share = text.partition("=")
        switches.append({"kind": kind, "share": float(share or 0.1)})
    return Sandbox(
        behaviour=Behaviour(
            first_event_s=options.first_event,
            answer_s=options.latency,
            obeys_injections=options.obey_injections,
            flip_share=options.flip_share,
            needs_key=not options.conformance,
        ),
        faults=Faults(switches),
        is_conformance=options.conformance,
    )


async def serve(options: argparse.Namespace) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    server = uvicorn.Server(
        uvicorn.Config(build(options), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not running.done():
        await asyncio.sleep(0.01)
    host, port = listener.getsockname()
    sys.stdout.write(json.dumps({"url": f"http://{host}:{port}"}) + "\n")
    sys.stdout.flush()
    await running


def main() -> None:
    options = parse_arguments()
    # uvicorn raises the signal again after its shutdown; ending by SIGTERM is the normal end here
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        asyncio.run(serve(options))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
