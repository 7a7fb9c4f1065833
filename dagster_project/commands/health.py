"""How things stand: doctor, status and costs."""

import typer

app = typer.Typer()
