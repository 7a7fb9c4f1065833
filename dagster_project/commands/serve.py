"""One service each, in the foreground. `call-coach up` opens them all."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from dagster_project.commands.panels import SERVE
from dagster_project.commands.terminal import Exit, fail, shown_warehouse
from dagster_project.settings import ROOT, Settings

app = typer.Typer()


def _serve(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run until it ends; Ctrl-C reaches it directly, as it shares our terminal."""
    with shown_warehouse(Settings()):
        service = subprocess.Popen([sys.executable, *command], env={**os.environ, **(environment or {})})
        try:
            code = service.wait()
        except KeyboardInterrupt:
            code = Exit.DONE
            service.wait()
    if code not in (0, -2, 130):
        raise typer.Exit(Exit.WRONG_REQUEST if code == Exit.WRONG_REQUEST else Exit.FAILED)


@app.command("app", rich_help_panel=SERVE, epilog="Example: [cyan]call-coach app --port 8600[/cyan]")
def dashboard(port: Annotated[int, typer.Option(help="A free port on 127.0.0.1.")] = 8501) -> None:
    """The dashboard alone, on 127.0.0.1. CALL_COACH_LOCAL_VIEWER says as whom; `admin` unless sign-in is set up."""
    script = str(ROOT / "streamlit_app" / "app.py")
    _serve(
        ["-m", "streamlit", "run", script, "--server.port", str(port), "--server.address", "127.0.0.1"],
        {"CALL_COACH_LOCAL_VIEWER": os.environ.get("CALL_COACH_LOCAL_VIEWER", "admin")},
    )


@app.command(rich_help_panel=SERVE, epilog="Example: [cyan]call-coach mcp --viewer you@example.com[/cyan]")
def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve HTTP on 127.0.0.1 instead of standard input.")] = False,
    port: Annotated[int, typer.Option(help="With --http.")] = 8765,
    viewer: Annotated[
        str | None, typer.Option(help="Whose calls may be seen: an e-mail address, `leader` or `admin`.")
    ] = None,
) -> None:
    """The MCP server for Claude Desktop and Claude Code, over standard input and output.

    For Claude Code: claude mcp add call-coach -- uv --directory FOLDER run call-coach mcp --viewer you@example.com
    """
    chosen = viewer or os.environ.get("CALL_COACH_LOCAL_VIEWER")
    if chosen is None and not http:
        raise fail("Say as whom: --viewer with your e-mail address, or CALL_COACH_LOCAL_VIEWER in .env.")
    arguments = ["--http", "--port", str(port)] if http else ["--stdio"]
    _serve(["-m", "streamlit_app.mcp_server", *arguments], {"CALL_COACH_LOCAL_VIEWER": chosen} if chosen else None)


@app.command(rich_help_panel=SERVE, epilog="Example: [cyan]call-coach webhooks --port 8080[/cyan]")
def webhooks(port: Annotated[int, typer.Option(help="A free port on 127.0.0.1; 0 takes any.")] = 8080) -> None:
    """The receiver of Gong's webhooks alone, on 127.0.0.1: put your TLS proxy in front of it."""
    _serve(["-m", "dlt_pipelines.webhooks", "--port", str(port)])
