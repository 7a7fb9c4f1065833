"""What the commands show, as things `rich` can draw; `cli.py` prints them."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dagster_project.summary import MINIMUM_N_SHOWN, Moment, RunCost, Summary, by_rep


def summary_screen(summary: Summary, *, seconds: float, next_steps: Sequence[str]) -> RenderableType:
    """The end of a run, for a sales manager: calls, scores with n, three moments, cost, what to do next."""
    return Group(
        _title("Calls"),
        Padding(_calls(summary), (0, 2)),
        _title("Scores by rep (0-100, mean of calls; n = calls behind it)"),
        Padding(_scores(summary), (0, 2)),
        _title("Three moments to hear"),
        *(Padding(_moment(moment), (0, 2, 1, 2)) for moment in summary.moments),
        _title("Cost"),
        Padding(_cost(summary.cost, seconds), (0, 2)),
        _title("Next"),
        *(Padding(Text.from_markup(step), (0, 2)) for step in next_steps),
    )


def _title(text: str) -> RenderableType:
    return Text(f"\n{text}", style="bold")


def _calls(summary: Summary) -> RenderableType:
    calls = summary.calls
    span = (
        f" from {calls.first_call_at:%d %b %Y} to {calls.last_call_at:%d %b %Y}"
        if calls.first_call_at and calls.last_call_at
        else ""
    )
    lines = [f"{calls.calls} calls loaded{span}; {calls.with_transcript} have a transcript, {calls.scored} are scored."]
    return Text("\n".join([*lines, *summary.notes]))


def _scores(summary: Summary) -> RenderableType:
    dimensions = sorted({score.dimension for score in summary.scores})
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Team", "Rep", "Role"):
        table.add_column(heading)
    for dimension in dimensions:
        table.add_column(dimension.replace("_", " ").capitalize(), justify="right")
    for (team, rep, role), scores in by_rep(summary.scores).items():
        cells = []
        for dimension in dimensions:
            score = scores.get(dimension)
            if score is None or score.mean_score is None:
                cells.append("n/a")
            elif score.n < MINIMUM_N_SHOWN:
                cells.append(f"too few (n {score.n})")
            else:
                cells.append(f"{score.mean_score:.0f} (n {score.n})")
        table.add_row(escape(team), escape(rep), role, *cells)
    return table


def _moment(moment: Moment) -> RenderableType:
    minutes, seconds = divmod(moment.start_ms // 1000, 60)
    kind = "did well" if moment.polarity == "strength" else "could do better"
    return Group(
        Text(f"{moment.rep_name} {kind} in {moment.dimension.replace('_', ' ')}", style="bold"),
        Text(f"“{moment.quote}”", style="italic"),
        Text(f"{moment.call_title}, at {minutes}:{seconds:02d}. {moment.why}"),
    )


def _cost(cost: RunCost, seconds: float) -> RenderableType:
    billed = (
        " at the model's list price. The answers came from the sandbox, which bills nothing; they are not Claude's."
        if cost.is_sandbox
        else "."
    )
    reused = (
        f"{cost.answers_standing} answers stand from earlier runs and {cost.answers_from_cache} more came from the "
        f"cache (saved ${cost.saved_usd:.2f})."
    )
    if not cost.requests:
        lines = ["0 requests ($0.00): nothing is new, so Claude was not asked anything.", reused]
    else:
        share = 100 * cost.prompt_tokens_from_cache / cost.prompt_tokens if cost.prompt_tokens else 0
        lines = [
            f"{cost.requests} requests ({cost.failed} failed), ${cost.cost_usd:.2f}{billed}",
            f"{cost.prompt_tokens:,} prompt tokens, {share:.0f} % of them read from the prompt cache; "
            f"{cost.output_tokens:,} tokens of output.",
            reused,
        ]
    lines.append(f"It took {seconds:.0f} s.")
    return Text("\n".join(lines))
