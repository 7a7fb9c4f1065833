"""What the operations commands show, as things `rich` can draw."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dagster_project.operations.costs import Cost
from dagster_project.operations.doctor import Finding, State
from dagster_project.operations.status import Coverage, Queue, Spend, Status

if TYPE_CHECKING:
    # these bring dlt and Claude's SDK along, which takes seconds
    from dagster_project.analysis.estimate import Estimate
    from dagster_project.analysis.evaluation import Agreement, Evaluation
    from dagster_project.analysis.report import ScoreReport
    from dagster_project.operations.dead_letters import DeadLetter

STYLES = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "red", State.SKIPPED: "dim"}


def findings_screen(findings: Sequence[Finding]) -> RenderableType:
    """One line per finding; what to do stands under what is wrong."""
    lines: list[RenderableType] = []
    for finding in findings:
        head = Text.assemble(
            (f"{finding.state:<8}", STYLES[finding.state]), (f" {finding.topic:<9} ", "bold"), finding.what
        )
        lines.append(head)
        if finding.what_to_do:
            lines.append(Padding(Text(finding.what_to_do, style="dim"), (0, 0, 0, 19)))
    problems = sum(finding.state is State.PROBLEM for finding in findings)
    warnings = sum(finding.state is State.WARNING for finding in findings)
    lines.append(Text(f"\n{problems} problems, {warnings} warnings", style="red" if problems else "green"))
    return Group(*lines)


def status_screen(status: Status) -> RenderableType:
    """The warehouse at a glance."""
    return Group(
        _title("Data"),
        _indented(_coverage(status.coverage)),
        _title("Waiting"),
        _indented(_queues(status.queues)),
        _title("Spent on Claude"),
        _indented(_spend(status.spend)),
        _title("Without a score"),
        _indented(
            _lines(f"{row.n} {row.dimension} {row.status}: {row.reason}" for row in status.failures) or "Nothing."
        ),
        _title("Newest runs"),
        _indented(
            _lines(
                f"{run.status} {_age(run.started_at)}" + (f", took {run.seconds:.0f} s" if run.seconds else "")
                for run in status.runs
            )
            or "None yet."
        ),
    )


def costs_screen(costs: Sequence[Cost], *, by: str) -> RenderableType:
    """The bill as a table with its sum."""
    if not costs:
        return Text("No request was made in these days.")
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True, footer_style="bold")
    table.add_column(by.capitalize(), "all")
    columns = (
        ("Requests", sum(cost.requests for cost in costs)),
        ("Failed", sum(cost.failed_requests for cost in costs)),
        ("Reused", sum(cost.cache_hits for cost in costs)),
        ("Prompt tokens", sum(cost.prompt_tokens for cost in costs)),
        ("from cache", ""),
        ("Output", sum(cost.output_tokens for cost in costs)),
    )
    for heading, total in columns:
        table.add_column(heading, f"{total:,}" if total != "" else "", justify="right")
    table.add_column("USD", f"{sum(cost.cost_usd for cost in costs):.2f}", justify="right")
    table.add_column("Saved", f"{sum(cost.saved_usd for cost in costs):.2f}", justify="right")
    for cost in costs:
        share = 100 * cost.prompt_tokens_from_cache / cost.prompt_tokens if cost.prompt_tokens else 0
        table.add_row(
            escape(cost.what.replace("_", " ")) + (" [dim](sandbox)[/dim]" if cost.is_sandbox else ""),
            f"{cost.requests:,}",
            f"{cost.failed_requests:,}",
            f"{cost.cache_hits:,}",
            f"{cost.prompt_tokens:,}",
            f"{share:.0f} %",
            f"{cost.output_tokens:,}",
            f"{cost.cost_usd:.2f}",
            f"{cost.saved_usd:.2f}",
        )
    note = "List prices. Lines marked sandbox were answered by a stand-in and billed to nobody."
    return Group(table, Text(note if any(cost.is_sandbox for cost in costs) else "List prices.", style="dim"))


def dead_letters_screen(letters: Sequence["DeadLetter"]) -> RenderableType:
    """The letters as a list that fits a terminal."""
    if not letters:
        return Text("No dead letters.")
    return Group(
        *(
            Text(
                f"{letter.dead_letter_id:>5}  {letter.source} {letter.stream} {letter.key}  {letter.status}, "
                f"{letter.attempts} attempts, {_age(letter.last_seen_at)}\n       {letter.error}"
            )
            for letter in letters
        )
    )


def estimate_screen(estimate: "Estimate") -> RenderableType:
    """What a run would ask and cost."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_footer=True, footer_style="bold")
    rows = list(estimate.dimensions.items())
    table.add_column("Dimension", "all")
    table.add_column("Calls", justify="right")
    table.add_column("Done before", justify="right")
    table.add_column("From cache", str(sum(row.cache_hits for _, row in rows)), justify="right")
    table.add_column("Requests", f"{estimate.requests:,}", justify="right")
    table.add_column("Prompt tokens", justify="right")
    table.add_column("Output", justify="right")
    table.add_column("USD", f"{estimate.cost_usd:.2f}", justify="right")
    for dimension, row in rows:
        prompt = row.input_tokens + row.cache_read_tokens + row.cache_write_tokens
        table.add_row(
            dimension.replace("_", " "),
            f"{row.calls:,}",
            f"{row.unchanged:,}",
            f"{row.cache_hits:,}",
            f"{row.requests:,}",
            f"{prompt:,}",
            f"{row.output_tokens:,}",
            f"{row.cost_usd:.2f}",
        )
    lines = [f"List prices of {estimate.model}, without repairs and retries. Nothing was sent."]
    if estimate.batch_requests:
        lines.append(f"As a batch the same work would cost ${estimate.batch_cost_usd:.2f}.")
    return Group(table, Text("\n".join(lines), style="dim"))


def scores_screen(report: "ScoreReport") -> RenderableType:
    """What a scoring run did, a line per dimension."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Dimension")
    for heading in ("Scored", "Stood before", "From cache", "Failed", "Refused", "Over budget", "Requests", "USD"):
        table.add_column(heading, justify="right")
    for dimension, row in report.dimensions.items():
        numbers = (row.scored, row.unchanged, row.cache_hits, row.failed, row.refused, row.over_budget, row.requests)
        table.add_row(dimension.replace("_", " "), *(f"{n:,}" for n in numbers), f"{row.cost_usd:.2f}")
    quotes = sum(row.quotes_checked for row in report.dimensions.values())
    dropped = sum(row.quotes_dropped for row in report.dimensions.values())
    notes = [f"{quotes:,} quotes checked word for word, {dropped:,} not found and dropped.", *report.messages]
    return Group(table, Text("\n".join(notes)))


def evaluation_screen(evaluation: "Evaluation") -> RenderableType:
    """Agreement with people, and what may be said of it."""
    lines: list[RenderableType] = [
        Text.assemble(
            (f"{agreement.dimension.replace('_', ' ').capitalize()} ({agreement.kind}s)\n", "bold"),
            "\n".join(f"  {line}" for line in _agreement_lines(agreement, is_sandbox=evaluation.is_sandbox)),
        )
        for agreement in evaluation.agreements
    ]
    if not lines:
        lines.append(Text("No label meets an answer of the machine."))
    unmatched = ", ".join(f"{n} {reason}" for reason, n in sorted(evaluation.unmatched.items()))
    if unmatched:
        lines.append(Text(f"Not compared: {unmatched}."))
    if evaluation.flip_rate is not None:
        lines.append(Text(f"{evaluation.flip_rate:.1%} of {evaluation.n_repeats} verdicts changed when asked again."))
    if evaluation.is_sandbox:
        lines.append(Text("The answers came from the sandbox: this says nothing about Claude.", style="yellow"))
    return Group(*lines)


def _agreement_lines(agreement: "Agreement", *, is_sandbox: bool) -> Iterator[str]:
    interval = agreement.exact_interval
    within = "" if agreement.within_one is None else f", {agreement.within_one:.0%} within one level"
    yield (
        f"{agreement.exact:.0%} equal ({interval.low:.0%} to {interval.high:.0%}){within}; "
        f"{agreement.n_labels} labels on {agreement.n_calls} calls."
    )
    if agreement.kappa is None:
        kappa = "Kappa is undefined: one side always gives the same answer."
    else:
        spread = agreement.kappa_interval
        kappa = f"Kappa {agreement.kappa:.2f}" + (f" ({spread.low:.2f} to {spread.high:.2f})." if spread else ".")
    yield f"{kappa} Always answering {agreement.constant_answer!r} would reach {agreement.constant_exact:.0%}."
    if agreement.signed_error is not None:
        size, is_more = abs(agreement.signed_error), agreement.signed_error > 0
        if agreement.kind == "level":
            yield f"The machine is {'kinder' if is_more else 'stricter'} by {size:.2f} levels on average."
        else:
            yield f"The machine says yes {'more' if is_more else 'less'} often, by {size:.1%} of the answers."
    if agreement.commonest_disagreement is not None:
        human, machine, n = agreement.commonest_disagreement
        yield f"Most often apart: people say {human!r} where the machine says {machine!r} ({n} times)."
    if agreement.human_human_exact is not None:
        yield f"People agree with each other in {agreement.human_human_exact:.0%} of {agreement.n_human_pairs} items."
    claim = "no claim: the machine here is the sandbox" if is_sandbox else agreement.claim
    yield f"{claim[0].upper()}{claim[1:]}."


def _title(text: str) -> RenderableType:
    return Text(f"\n{text}", style="bold")


def _indented(content: RenderableType) -> RenderableType:
    return Padding(content, (0, 2))


def _lines(lines: Iterable[str]) -> str:
    return escape("\n".join(lines))


def _coverage(coverage: Coverage | None) -> RenderableType:
    if coverage is None:
        return Text("No calls yet. `call-coach demo` shows invented ones, `call-coach run` loads yours.")
    share = 100 * coverage.scored / coverage.eligible if coverage.eligible else 0
    return Text(
        f"The newest call is of {coverage.latest_day:%d %b %Y}; the last ones were loaded {_age(coverage.loaded_at)}.\n"
        f"28 days: {coverage.calls:,} calls, {coverage.with_transcript:,} with a transcript, "
        f"{coverage.eligible:,} fit for scoring, {coverage.scored:,} scored ({share:.0f} %)."
    )


def _queues(queues: Sequence[Queue]) -> RenderableType:
    return Text(
        "\n".join(f"{row.n:,} {row.queue}: {row.state}, the oldest from {_age(row.oldest_at)}" for row in queues)
        or "Nothing."
    )


def _spend(spend: Sequence[Spend]) -> RenderableType:
    return Text(
        "\n".join(
            f"{row.span}: ${row.cost_usd:.2f} for {row.requests:,} requests, {row.failed:,} failed; "
            f"${row.saved_usd:.2f} saved by reuse"
            + (" (sandbox: list prices, billed to nobody)" if row.is_sandbox else "")
            for row in spend
        )
        or "Nothing in 28 days."
    )


def _age(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now" if seconds >= 0 else "in the future"
