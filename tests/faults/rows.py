"""The 35 faults we promise to stand, and what shows each: scenarios of this suite, and tests that run by themselves.

`run.py rows` runs the tests of every row and writes down how many passed; the checker names both.
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
    scenarios: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()


ROWS = (
    Row(
        1,
        "run worker killed",
        ("pipeline kills",),
        (f"{GONG}/test_faults.py::test_a_killed_load", f"{GONG}/test_faults.py::test_fifty_kills"),
    ),
    Row(
        2,
        "daemon or sensor killed",
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
        ("receiver kills",),
        (f"{HOOKS}/test_receiver_faults.py::test_no_acknowledged_event_is_lost",),
    ),
    Row(
        4,
        "Postgres crash-restart in a run and under webhooks",
        ("postgres faults",),
        (
            f"{GONG}/test_faults.py::test_a_database_that_restarts",
            f"{HOOKS}/test_receiver_faults.py::test_no_acknowledged_event_is_lost",
        ),
    ),
    Row(
        5,
        "Postgres unreachable",
        (),
        (
            f"{HOOKS}/test_receiver.py::test_while_the_database_is_away",
            f"{DESK}/test_browser.py::test_a_database_that_stops",
        ),
    ),
    Row(
        6,
        "duplicate webhooks",
        ("webhook flood",),
        (
            f"{HOOKS}/test_receiver.py::test_twenty_concurrent_copies",
            f"{INTAKE}/test_events.py::test_a_burst_of_duplicates",
        ),
    ),
    Row(
        7,
        "out of order, late, older version of a call",
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
        (),
        (
            f"{INTAKE}/test_events.py::test_the_poll_finds_calls",
            f"{INTAKE}/test_events.py::test_without_any_webhook",
        ),
    ),
    Row(9, "commit-order gap", (), (f"{INTAKE}/test_events.py::test_an_event_committed_late_with_a_lower_id",)),
    Row(
        10,
        "flood of bad signatures",
        ("webhook flood",),
        (
            f"{HOOKS}/test_receiver.py::test_a_flood_of_forgeries",
            f"{HOOKS}/test_receiver_faults.py::test_ten_thousand_forgeries",
        ),
    ),
    Row(
        11,
        "attacks on JWTs",
        (),
        (
            f"{HOOKS}/test_signatures.py::test_no_forged_token",
            f"{HOOKS}/test_signatures.py::test_a_token_with_a_wrong_claim",
        ),
    ),
    Row(
        12,
        "replay",
        ("webhook flood",),
        (
            f"{HOOKS}/test_receiver.py::test_a_replayed_delivery",
            f"{HOOKS}/test_signatures.py::test_a_repetition_has_the_same_key",
        ),
    ),
    Row(
        13,
        "clock skew",
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
        (),
        (
            f"{HOOKS}/test_receiver.py::test_odd_but_signed_bytes",
            f"{INTAKE}/test_events.py::test_odd_events_are_parked",
        ),
    ),
    Row(
        16,
        "Gong 429",
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
        ("Gong storms", "API storms"),
        (f"{GONG}/test_faults.py::test_all_faults_of_gong_together", f"{GONG}/test_client.py::test_a_passing_failure"),
    ),
    Row(
        18,
        "Gong malformed or cut",
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
        ("Gong storms", "API storms"),
        (f"{GONG}/test_calls.py::test_an_expired_cursor",),
    ),
    Row(
        20,
        "Gong adds, renames or retypes a field",
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
        ("Claude storms", "API storms"),
        (
            f"{ANALYSIS}/test_faults.py::test_a_fault_that_passes",
            f"{ANALYSIS}/test_faults.py::test_what_would_fail_for_all",
        ),
    ),
    Row(
        23,
        "Claude answers badly",
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
        ("pipeline kills",),
        (f"{ANALYSIS}/test_interruption.py::test_a_killed_run",),
    ),
    Row(
        25,
        "prompt injection",
        ("hostile calls",),
        (
            f"{ANALYSIS}/test_injection.py::test_no_marker_is_met",
            f"{ANALYSIS}/test_injection.py::test_names_and_titles",
        ),
    ),
    Row(26, "SQL injection through MCP", ("MCP abuse",), (f"{DESK}/test_mcp_tools.py::test_hostile_arguments",)),
    Row(
        27,
        "MCP abuse",
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
        ("rebuilds",),
        (f"{OPERATIONS}/test_row_security.py::test_readers_see_only_their_rows",),
    ),
    Row(30, "disk full", ("disk full",)),
    Row(31, "memory limit", ("memory limit",)),
    Row(32, "rotation of secrets", (), (f"{HOOKS}/test_signatures.py::test_every_configured_key",)),
    Row(
        33,
        "erasure during a load",
        ("erasures",),
        (f"{OPERATIONS}/test_erase_race.py::test_", f"{OPERATIONS}/test_erase.py::test_an_erased_rep"),
    ),
    Row(
        34,
        "two runs at once",
        ("two of everything",),
        (f"{GONG}/test_faults.py::test_two_loads_at_once", f"{INTAKE}/test_events.py::test_two_sensors_at_once"),
    ),
    Row(
        35,
        "restore from a backup",
        ("restores",),
        (
            f"{OPERATIONS}/test_backup.py::test_what_was_erased_after",
            f"{OPERATIONS}/test_backup.py::test_an_older_backup",
        ),
    ),
)
