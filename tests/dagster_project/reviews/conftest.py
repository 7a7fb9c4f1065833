import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest

WEEK = date(2026, 11, 9)

# the columns of the marts that a review reads
MARTS = """
create table marts.dim_reps (
    rep_id text, rep_name text, email text, role text, manager_id text, team_id text, team_name text,
    is_active boolean, is_manager boolean
);
create table marts.fct_calls (
    call_id text, title text, url text, started_at timestamptz, week_start date, is_running_week boolean, rep_id text,
    account_name text, call_type text, is_scored boolean, is_sandbox boolean, is_deleted boolean
);
create table marts.mart_rep_trends (
    rep_id text, dimension text, week_start date, is_running_week boolean, n_calls int, mean_score numeric,
    rolling_score numeric, rolling_n int, rolling_low numeric, rolling_high numeric, signal text, rubric_version text,
    has_version_break boolean
);
create table marts.fct_evidence (
    evidence_id text, call_id text, rep_id text, dimension text, criterion_id text, marker_id text,
    rubric_version text, is_current boolean, turn_id int, start_ms bigint, side text, quote text,
    quote_verified boolean, polarity text, suggestion text, week_start date, call_url text
);
create table marts.dim_rubric_criteria (dimension text, criterion_id text, rubric_version text, criterion_title text);
create table marts.dim_rubric_markers (
    dimension text, marker_id text, rubric_version text, kind text, question text, yes_example text
);
create table marts.fct_marker_findings (
    call_id text, rep_id text, dimension text, criterion_id text, marker_id text, rubric_version text,
    is_current boolean, verdict text, why text
);
create table marts.fct_scores (
    call_id text, rep_id text, dimension text, rubric_version text, is_current boolean, week_start date,
    score numeric, na_reason text, n_markers_met int, n_markers_applicable int, is_sandbox boolean
);
create table marts.fct_criterion_scores (
    call_id text, rep_id text, dimension text, criterion_id text, rubric_version text, is_current boolean,
    week_start date, level int
);
create table marts.mart_team_weeks (
    team_id text, team_name text, week_start date, n_calls int, n_eligible_calls int, n_scored_calls int, n_reps int
);
create table marts.mart_team_scores (
    team_id text, team_name text, dimension text, week_start date, rolling_score numeric, rolling_low numeric,
    rolling_high numeric, rolling_n int
);
create table marts.mart_coaching_queue (
    moment_id text, team_id text, rep_name text, reason text, quote text, start_ms bigint, call_title text,
    call_url text, suggestion text, started_at timestamptz, week_start date, priority_points numeric, state text
);
create table marts.mart_llm_costs (
    day date, requests int, failed_requests int, cache_hits int, cost_usd numeric, saved_usd numeric,
    calls_scored int, is_sandbox boolean
);
"""

REPS = (("ada", "Ada Exemplar", "north"), ("bruno", "Bruno Testa", "north"), ("greta", "Greta Stubb", "south"))
MANAGERS = (("north", "Max Placeholder"), ("south", "Nora Fictiva"))


def fill(connection: psycopg.Connection) -> None:
    """Two teams, three reps, six calls each, one dimension; everybody has a strength, a gap and a missed marker."""
    connection.execute(MARTS)
    run = connection.execute
    for manager, name in MANAGERS:
        run(
            "insert into marts.dim_reps values (%s, %s, %s, 'other', null, 'none', 'No team', true, true)",
            (manager, name, f"{manager}@example.com"),
        )
        run(
            "insert into marts.mart_team_weeks values (%s, %s, %s, 6, 6, 5, 2)",
            (manager, f"Team {name}", WEEK),
        )
        run(
            "insert into marts.mart_team_scores values (%s, %s, 'discovery', %s, 61.5, 55, 68, 12)",
            (manager, f"Team {name}", WEEK),
        )
    run("insert into marts.dim_rubric_criteria values ('discovery', 'depth', 'v1', 'Problem depth')")
    run(
        "insert into marts.dim_rubric_markers values "
        "('discovery', 'impact', 'v1', 'positive', 'Does the rep ask for the impact?', 'What does it cost you?')"
    )
    run("insert into marts.mart_llm_costs values (%s, 40, 1, 7, 3.25, 0.60, 18, false)", (WEEK,))
    for rep, name, team in REPS:
        run(
            "insert into marts.dim_reps values (%s, %s, %s, 'AE', %s, %s, %s, true, false)",
            (rep, name, f"{rep}@example.com", team, team, f"Team {team}"),
        )
        run(
            "insert into marts.mart_rep_trends values "
            "(%s, 'discovery', %s, false, 6, 58, 57.4, 10, 49, 66, %s, 'v1', false)",
            (rep, WEEK, "up" if rep == "ada" else "no clear change"),
        )
        for n in range(6):
            call = f"{rep}-{n}"
            url = f"https://app.gong.io/call?id={call}"
            run(
                "insert into marts.fct_calls values "
                "(%s, %s, %s, %s, %s, false, %s, 'Acme', 'demo', true, false, false)",
                (call, f"Call {call}", url, f"2026-11-{10 + n % 3}T1{n}:00:00Z", WEEK, rep),
            )
            for dimension in ("discovery", "engagement"):
                run(
                    "insert into marts.fct_scores values (%s, %s, %s, 'v1', true, %s, %s, null, 3, 6, false)",
                    (call, rep, dimension, WEEK, 40 + 5 * n),
                )
            run(
                "insert into marts.fct_criterion_scores values (%s, %s, 'discovery', 'depth', 'v1', true, %s, 2)",
                (call, rep, WEEK),
            )
            run(
                "insert into marts.fct_marker_findings values "
                "(%s, %s, 'discovery', 'depth', 'impact', 'v1', true, %s, 'because')",
                (call, rep, "yes" if n == 0 else "no"),
            )
        for polarity, suggestion in (("strength", None), ("gap", f"Say the number, {name.split()[0]}.")):
            run(
                "insert into marts.fct_evidence values "
                "(%s, %s, %s, 'discovery', 'depth', 'impact', 'v1', true, 17, 190000, 'rep', %s, true, %s, %s, %s, %s)",
                (
                    f"{rep}-{polarity}",
                    f"{rep}-0",
                    rep,
                    f"A sentence of {name} about the {polarity}",
                    polarity,
                    suggestion,
                    WEEK,
                    f"https://app.gong.io/call?id={rep}-0",
                ),
            )
        run(
            "insert into marts.mart_coaching_queue values "
            "(%s, %s, %s, 'Level 2.', %s, 190000, 'Demo', null, null, '2026-11-10T10:00:00Z', %s, 9, 'open')",
            (f"{rep}-gap", team, name, f"A queued sentence of {name}", WEEK),
        )


@pytest.fixture
def warehouse_url(module_database_url: str) -> str:
    """A warehouse with one week's marts and no review yet."""
    with psycopg.connect(module_database_url) as connection:
        connection.execute("drop schema marts cascade; create schema marts; truncate ops.reviews cascade")
        fill(connection)
    return module_database_url


@dataclass
class MailServer:
    """An SMTP server on loopback that keeps what it is given, or refuses it."""

    url: str = ""
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    is_refusing: bool = False

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, policy=default) for raw in self.raw]  # type: ignore[misc]


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    kept = MailServer()

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            def say(text: str) -> None:
                self.wfile.write(f"{text}\r\n".encode())

            say("220 loopback")
            for line in self.rfile:
                verb = line.strip().upper()
                if verb.startswith(b"EHLO"):
                    say("250-loopback")
                    say("250 8BITMIME")
                elif verb.startswith(b"RCPT"):
                    if kept.is_refusing:
                        say("451 try again later")
                        continue
                    kept.recipients.append(line.decode().split("<")[1].split(">")[0])
                    say("250 ok")
                elif verb == b"DATA":
                    say("354 go on")
                    body = b""
                    for part in self.rfile:
                        if part == b".\r\n":
                            break
                        body += part[1:] if part.startswith(b"..") else part
                    kept.raw.append(body)
                    say("250 kept")
                elif verb == b"QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 ok")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Session) as server:
        kept.url = f"smtp://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kept
        server.shutdown()


@dataclass
class SlackServer:
    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200


@pytest.fixture
def slack_server() -> Iterator[SlackServer]:
    """Slack's incoming webhook on loopback, holding messages to Slack's limits."""
    kept = SlackServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            problem = kept.status != 200 or _breaks_limits(message)
            if not problem:
                kept.messages.append(message)
            answer = b"invalid_blocks" if problem else b"ok"
            self.send_response(kept.status if kept.status != 200 else 400 if problem else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_address[1]}/services/T0/B0/secret-part"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield kept
    server.shutdown()
    server.server_close()


def _breaks_limits(message: dict[str, Any]) -> bool:
    texts = [block["text"]["text"] for block in message.get("blocks", []) if "text" in block]
    headers = [b["text"]["text"] for b in message.get("blocks", []) if b["type"] == "header"]
    return (
        not message.get("text")
        or len(message.get("blocks", [])) > 50
        or any(not 0 < len(text) <= 3000 for text in texts)
        or any(len(text) > 150 for text in headers)
    )
