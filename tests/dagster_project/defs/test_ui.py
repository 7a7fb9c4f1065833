"""What the Dagster UI has to say about everything it shows."""

import dagster as dg

from dagster_project.analysis.report import DimensionReport
from dagster_project.defs.analysis.assets import hit_rates


def test_every_asset_we_make_has_a_group_an_owner_a_kind_and_a_grain(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.group_name != "default", key
        assert node.owners, key
        assert node.kinds, key
        assert (node.description or "").startswith("One row per"), f"{key}: {node.description}"


def test_every_asset_that_people_read_says_how_old_it_may_get(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    for key in graph.materializable_asset_keys:
        if key.path[0] in ("gong", "analysis", "marts", "reviews") and key.path[-1] != "fct_weekly_reviews":
            assert graph.get(key).freshness_policy, key


def test_every_job_schedule_and_sensor_says_what_it_does(repository: dg.RepositoryDefinition) -> None:
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    for thing in (*jobs, *repository.schedule_defs, *repository.sensor_defs):
        assert thing.description, thing.name


def test_an_unverified_quote_stops_a_run_before_the_marts(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    blocking = {check.asset_key.path[-1] for check in graph.asset_check_keys if graph.get_check_spec(check).blocking}
    assert blocking >= {"discovery", "engagement", "objections", "product_knowledge"}


def test_a_new_call_runs_what_its_pages_show_and_nothing_that_may_wait(repository: dg.RepositoryDefinition) -> None:
    layer = repository.get_job("new_calls").asset_layer
    names = {key.path[-1] for key in layer.selected_asset_keys}
    assert names >= {"calls", "transcripts", "transcript_chunks", "discovery", "call_brief"}
    assert names >= {"fct_scores", "fct_evidence", "mart_rep_trends", "mart_leaderboard", "mart_coaching_queue"}
    assert not names & {"mart_llm_costs", "mart_pipeline_health", "weekly_reviews", "deals", "users"}


def test_a_dimension_plots_its_hit_rates_and_leaves_out_what_was_not_asked() -> None:
    report = DimensionReport(requests=3, cache_hits=1, input_tokens=100, cache_read_tokens=800, cache_write_tokens=100)
    assert hit_rates(report) == {"prompt_cache_hit_rate": 0.8, "result_cache_hit_rate": 0.25}
    assert hit_rates(DimensionReport()) == {}
