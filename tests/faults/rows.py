"""The 35 faults we promise to stand, and what shows each: scenarios of this suite, and tests that run by themselves.

`run.py rows` runs the tests of every row and writes down how they ended and what they measured (`record_property`).
"""

from dataclasses import dataclass

GONG, HOOKS = "dlt_pipelines/gong", "dlt_pipelines/webhooks"
ANALYSIS, INTAKE = "dagster_project/analysis", "dagster_project/intake"
OPERATIONS, DESK = "dagster_project/operations", "streamlit_app"


@dataclass(frozen=True)
class Row:
    """`scenarios` are names in the history, `tests` are `file::beginning of a test's name` under `tests/`."""

    number: int
    fault: str
    injected: str
    must_hold: str
    scenarios: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Faults that belong together, and the scenarios that show them."""

    fault: str
    must_hold: str
    scenarios: tuple[str, ...]


GROUPS = (
    Group(
        "kill -9 of any process at random moments over a whole pipeline run",
        "final marts identical to those of an undisturbed run",
        ("pipeline kills", "receiver kills"),
    ),
    Group(
        "Postgres restart, connection cut, disk full",
        "clean error, no corruption, resumes",
        ("postgres faults", "disk full", "restores"),
    ),
    Group(
        "Gong: 429 for hours, 5xx storms, hangs, malformed, cursor expiry",
        "partial is said, next run completes, quota kept",
        ("Gong storms", "API storms"),
    ),
    Group(
        "Claude: 429 / 529 storms, spend cap, cut streams, refusals, nonsense",
        "each call ends scored or in a named state; money counted to the cent",
        ("Claude storms", "API storms"),
    ),
    Group(
        "webhook floods, forgeries, duplicates, reordering, clock skew",
        "nothing lost, nothing twice, good ones served",
        ("webhook flood",),
    ),
    Group(
        "hostile transcripts: injections, 10 MB turns, control and bidi characters, every script",
        "no crash, no verdict moved, no markup executed in page, e-mail or Slack",
        ("hostile calls",),
    ),
    Group("two of everything at once", "no double work, no deadlock", ("two of everything",)),
)

ROWS = (
    Row(
        1,
        "run worker killed",
        "SIGKILL of the whole run or one of its processes at a random moment of load, scoring or build",
        "next run: no call lost or doubled, marts as if undisturbed",
        ("pipeline kills",),
        (f"{GONG}/test_faults.py::test_a_killed_load", f"{GONG}/test_faults.py::test_fifty_kills"),
    ),
    Row(
        2,
        "daemon or sensor killed",
        "a claim whose tick died, a run whose process is gone, a run that is merely slow",
        "each claimed event is worked once, by itself",
        (),
        (
            f"{INTAKE}/test_events.py::test_a_claim_whose_tick_died",
            f"{INTAKE}/test_events.py::test_a_run_still_going",
            "dagster_project/defs/test_sensors.py::test_a_run_whose_process_was_killed",
        ),
    ),
    Row(
        3,
        "receiver killed under load",
        "SIGKILL of the receiver under 16 senders",
        "every acknowledged event is stored once",
        ("receiver kills",),
        (f"{HOOKS}/test_receiver_faults.py::test_no_acknowledged_event_is_lost",),
    ),
    Row(
        4,
        "Postgres crash-restart in a run and under webhooks",
        "SIGKILL of a backend, SIGQUIT of the server, connections ended",
        "nothing acknowledged or loaded is lost; the next run ends well",
        ("postgres faults",),
        (
            f"{GONG}/test_faults.py::test_a_database_that_restarts",
            f"{HOOKS}/test_receiver_faults.py::test_no_acknowledged_event_is_lost",
        ),
    ),
    Row(
        5,
        "Postgres unreachable",
        "connections refused under the receiver; the server stopped under the dashboard",
        "503 with Retry-After in under a second, never 2xx; back by itself",
        (),
        (
            f"{HOOKS}/test_receiver.py::test_while_the_database_is_away",
            f"{DESK}/test_browser.py::test_a_database_that_stops",
        ),
    ),
    Row(
        6,
        "duplicate webhooks",
        "each of 500 events 20 times, at once and shuffled",
        "one row an event, one run a call and window",
        ("webhook flood",),
        (
            f"{HOOKS}/test_receiver.py::test_twenty_concurrent_copies",
            f"{INTAKE}/test_events.py::test_a_burst_of_duplicates",
        ),
    ),
    Row(
        7,
        "out of order, late, older version of a call",
        "deliveries shuffled; an older version of a call shown first",
        "the newest version stands",
        ("webhook flood",),
        (
            f"{INTAKE}/test_events.py::test_the_same_bytes_under_a_fresh_id",
            f"{INTAKE}/test_events.py::test_a_second_richer_delivery",
            f"{GONG}/test_faults.py::test_a_fault_of_gong_changes_nothing",
        ),
    ),
    Row(
        8,
        "webhooks lost entirely",
        "calls in Gong that no event announced",
        "the poll takes up every one",
        (),
        (f"{INTAKE}/test_events.py::test_the_poll_finds_calls", f"{INTAKE}/test_events.py::test_without_any_webhook"),
    ),
    Row(
        9,
        "commit-order gap",
        "two open transactions, the lower id committed last",
        "no event is passed over",
        (),
        (f"{INTAKE}/test_events.py::test_an_event_committed_late_with_a_lower_id",),
    ),
    Row(
        10,
        "flood of bad signatures",
        "10,000 forgeries among genuine deliveries",
        "all 401, no row, genuine ones served",
        ("webhook flood",),
        (
            f"{HOOKS}/test_receiver.py::test_a_flood_of_forgeries",
            f"{HOOKS}/test_receiver_faults.py::test_ten_thousand_forgeries",
        ),
    ),
    Row(
        11,
        "attacks on JWTs",
        "none, HS256 with the public key, jwk and jku headers, expired, foreign address, foreign body, broken",
        "all refused",
        (),
        (
            f"{HOOKS}/test_signatures.py::test_no_forged_token",
            f"{HOOKS}/test_signatures.py::test_a_token_with_a_wrong_claim",
        ),
    ),
    Row(
        12,
        "replay",
        "a valid delivery sent again, with its id and with a fresh one",
        "acknowledged, changes nothing",
        ("webhook flood",),
        (
            f"{HOOKS}/test_receiver.py::test_a_replayed_delivery",
            f"{HOOKS}/test_signatures.py::test_a_repetition_has_the_same_key",
        ),
    ),
    Row(
        13,
        "clock skew",
        "tokens of clocks up to an hour off; weeks at midnight UTC; a machine ten minutes off",
        "taken within the leeway and not beyond; weeks by the source's time; doctor says it",
        ("webhook flood",),
        (
            f"{HOOKS}/test_signatures.py::test_the_clock_may_differ",
            f"{INTAKE}/test_events.py::test_the_week_is_cut_at_midnight",
            f"{OPERATIONS}/test_doctor.py::test_a_clock_that_is_ten_minutes_off",
        ),
    ),
    Row(
        14,
        "oversized and slow senders",
        "endless bodies and heads, 5 MB, gzip, drips",
        "413, 431, 415 or 408; the receiver goes on",
        (),
        (
            f"{HOOKS}/test_receiver.py::test_an_endless_body",
            f"{HOOKS}/test_receiver.py::test_an_endless_head",
            f"{HOOKS}/test_receiver.py::test_slow_clients",
            f"{HOOKS}/test_receiver.py::test_what_cannot_be_an_event",
        ),
    ),
    Row(
        15,
        "odd JSON",
        "signed bytes that are no or odd JSON, NULs, huge numbers",
        "stored as they came, never 5xx, parked with the reason",
        (),
        (
            f"{HOOKS}/test_receiver.py::test_odd_but_signed_bytes",
            f"{INTAKE}/test_events.py::test_odd_events_are_parked",
        ),
    ),
    Row(
        16,
        "Gong 429",
        "429 with a second, hours or no Retry-After",
        "never above three requests a second; hours end the run as partial",
        ("Gong storms", "API storms"),
        (
            f"{GONG}/test_client.py::test_a_retry_after_of_hours",
            f"{GONG}/test_client.py::test_a_429_without",
            f"{GONG}/test_source.py::test_gong_never_sees_more_than_three",
        ),
    ),
    Row(
        17,
        "Gong 500, timeout, reset",
        "500 for a whole run and at random, hangs, cut answers, nobody there",
        "nothing lost, the next run completes",
        ("Gong storms", "API storms"),
        (f"{GONG}/test_faults.py::test_all_faults_of_gong_together", f"{GONG}/test_client.py::test_a_passing_failure"),
    ),
    Row(
        18,
        "Gong malformed or cut",
        "HTML for JSON, half an answer, a list that is none, a call without an id",
        "said or set aside; progress is not kept past it",
        ("Gong storms", "API storms"),
        (
            f"{GONG}/test_client.py::test_an_answer_of_another_api",
            f"{GONG}/test_client.py::test_a_repeated_cursor",
            f"{GONG}/test_source.py::test_a_call_without_an_id",
        ),
    ),
    Row(
        19,
        "cursor expires while paging",
        "400 on a later page; the same cursor twice",
        "the window starts again: no gap, no double",
        ("Gong storms", "API storms"),
        (f"{GONG}/test_calls.py::test_an_expired_cursor",),
    ),
    Row(
        20,
        "Gong adds, renames or retypes a field",
        "an unknown field, a duration as text, an id beyond 2^53 as a number",
        "new column, stream stopped with the call named, ids exact",
        (),
        (
            f"{GONG}/test_source.py::test_a_new_field",
            f"{GONG}/test_source.py::test_a_field_that_changes_its_type",
            f"{HOOKS}/test_payload.py::test_an_id_sent_as_a_number",
        ),
    ),
    Row(
        21,
        "late transcript",
        "a call without its transcript, for a while or for ever",
        "asked for again until it comes or is given up with a record",
        (),
        (
            f"{INTAKE}/test_events.py::test_a_call_without_a_transcript",
            f"{INTAKE}/test_events.py::test_a_transcript_that_never_comes",
            f"{GONG}/test_calls.py::test_what_never_comes",
        ),
    ),
    Row(
        22,
        "Claude 429, 529 and spend limit",
        "storms of 529, 429 with and without a hint, a spend limit after ten answers",
        "waits and goes on; the limit stops the run; every question ends in a named state",
        ("Claude storms", "API storms"),
        (
            f"{ANALYSIS}/test_faults.py::test_a_fault_that_passes",
            f"{ANALYSIS}/test_faults.py::test_what_would_fail_for_all",
        ),
    ),
    Row(
        23,
        "Claude answers badly",
        "no JSON, another schema, refusals, max_tokens, unknown markers, quotes nobody said",
        "one repair, then a named state; no invented evidence",
        ("Claude storms",),
        (
            f"{ANALYSIS}/test_faults.py::test_odd_answers",
            f"{ANALYSIS}/test_faults.py::test_evidence_that_does_not_hold",
            f"{ANALYSIS}/test_faults.py::test_a_refusal",
        ),
    ),
    Row(
        24,
        "killed after the answer, before it is kept",
        "SIGKILL while answers are under way",
        "no answered question is paid for again beyond those in flight",
        ("pipeline kills",),
        (f"{ANALYSIS}/test_interruption.py::test_a_killed_run",),
    ),
    Row(
        25,
        "prompt injection",
        "orders in turns, names and titles, in several languages and paraphrased, to a judge that obeys",
        "no verdict moved",
        ("hostile calls",),
        (
            f"{ANALYSIS}/test_injection.py::test_no_marker_is_met",
            f"{ANALYSIS}/test_injection.py::test_names_and_titles",
        ),
    ),
    Row(
        26,
        "SQL injection through MCP",
        "ten payloads in every text argument of every tool",
        "no foreign row, no SQL in an answer, nothing written",
        ("MCP abuse",),
        (f"{DESK}/test_mcp_tools.py::test_hostile_arguments",),
    ),
    Row(
        27,
        "MCP abuse",
        "absurd limits, forged cursors, 10 MB arguments, 200 calls at once, callers who hang up",
        "bounded answers with advice, connections freed",
        ("MCP abuse",),
        (
            f"{DESK}/test_mcp_server.py::test_twenty_questions_at_once",
            f"{DESK}/test_mcp_tools.py::test_huge_arguments",
            f"{DESK}/test_mcp_tools.py::test_a_single_huge_text",
        ),
    ),
    Row(
        28,
        "escape from row-level security",
        "every tool as one rep asking for another; no viewer; views; temporary tables",
        "no foreign row",
        ("rebuilds",),
        (
            f"{DESK}/test_mcp_tools.py::test_naming_someone_elses",
            f"{DESK}/test_mcp_tools.py::test_a_rep_is_answered",
            f"{OPERATIONS}/test_row_security.py::test_",
        ),
    ),
    Row(
        29,
        "dbt rebuild during reads",
        "every mart dropped and built anew under readers",
        "no moment without policies, grants or a table",
        ("rebuilds",),
        (f"{OPERATIONS}/test_row_security.py::test_readers_see_only_their_rows",),
    ),
    Row(
        30,
        "disk full",
        "a small disk filled at a random moment of a run, with webhooks arriving",
        "a clean error, 503 to senders, nothing lost, resumes when it is free again",
        ("disk full",),
        (),
    ),
    Row(
        31,
        "memory limit",
        "a run of 768 MB, dbt included, with a call of four hours",
        "nothing killed for memory, the call scored",
        ("memory limit",),
        (),
    ),
    Row(
        32,
        "rotation of secrets",
        "old and new key of every scheme at once",
        "both accepted",
        (),
        (f"{HOOKS}/test_signatures.py::test_every_configured_key",),
    ),
    Row(
        33,
        "erasure during a load",
        "a call erased at a random moment of its load and scoring",
        "in no byte of a dump after the next run, and stays away",
        ("erasures",),
        (f"{OPERATIONS}/test_erase_race.py::test_", f"{OPERATIONS}/test_erase.py::test_an_erased_rep"),
    ),
    Row(
        34,
        "two runs at once",
        "three runs of the same weeks; two loads; three sensors",
        "nothing done twice, no deadlock",
        ("two of everything",),
        (f"{GONG}/test_faults.py::test_two_loads_at_once", f"{INTAKE}/test_events.py::test_two_sensors_at_once"),
    ),
    Row(
        35,
        "restore from a backup",
        "yesterday's database under today's folder, and the reverse; an erasure in between",
        "converges to today's marts; what was erased stays erased",
        ("restores",),
        (
            f"{OPERATIONS}/test_backup.py::test_what_was_erased_after",
            f"{OPERATIONS}/test_backup.py::test_an_older_backup",
        ),
    ),
)
