import dagster as dg

from dagster_project.defs.ownership import COACHING_TEAM, MONDAYS
from dagster_project.defs.partitions import call_weeks, partition_weeks
from dagster_project.defs.resources import Warehouse
from dagster_project.reviews.settings import ReviewSettings
from dagster_project.reviews.weekly import review_week
from dagster_project.settings import Settings

MARTS_READ = (
    "dim_reps",
    "dim_rubric_criteria",
    "dim_rubric_markers",
    "fct_calls",
    "fct_criterion_scores",
    "fct_evidence",
    "fct_marker_findings",
    "fct_scores",
    "mart_coaching_queue",
    "mart_llm_costs",
    "mart_rep_trends",
    "mart_team_scores",
    "mart_team_weeks",
)


class ReviewConfig(dg.Config):
    """What a run may ask for. Nothing is sent unless it says so: a backfill only writes."""

    deliver: bool = False
    force: bool = False


@dg.asset(
    key=["reviews", "weekly_reviews"],
    deps=[dg.AssetKey(["marts", name]) for name in MARTS_READ],
    partitions_def=call_weeks,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="reviews",
    kinds={"python", "postgres"},
    owners=COACHING_TEAM,
    freshness_policy=MONDAYS,
    description="One row per week, kind (rep, team, leadership), recipient and version: the review as it was rendered.",
)
def weekly_reviews(
    context: dg.AssetExecutionContext, config: ReviewConfig, warehouse: Warehouse
) -> dg.MaterializeResult:
    """What each rep, manager and leader should know of the week, and the log of what was sent to whom."""
    reports = [
        review_week(
            database_url=warehouse.database_url,
            week_start=week,
            settings=ReviewSettings(),
            folder=Settings().home_folder / "reviews",
            deliver=config.deliver,
            force=config.force,
        )
        for week in partition_weeks(context)
    ]
    totals = {
        name: sum(getattr(report, name) for report in reports)
        for name in ("reps", "teams", "leadership", "sent", "sent_before", "failed")
    }
    return dg.MaterializeResult(metadata={**totals, "folder": dg.MetadataValue.path(str(reports[-1].folder.parent))})
