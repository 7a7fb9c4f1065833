"""What can be checked of the Kubernetes deployment without a cluster: the Jobs it would start, and its files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dagster_project.pipeline import INSTANCE_CONFIG
from dagster_project.settings import ROOT

DEPLOYMENT = ROOT / "dagster_project" / "deployment"
SECRET = "planted-secret-4471"

dagster_k8s_job = pytest.importorskip("dagster_k8s.job", reason="install it with `uv sync --group kubernetes`")
models = pytest.importorskip("dagster_k8s.models")
client = pytest.importorskip("kubernetes.client")


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    return yaml.safe_load((DEPLOYMENT / "values.yaml").read_text())


def rendered_job(values: dict[str, Any]) -> dict[str, Any]:
    """The Job that the chart's launcher would create for a run."""
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    image = deployment["image"]
    run_config = launcher["runK8sConfig"]
    config = dagster_k8s_job.DagsterK8sJobConfig(
        job_image=f"{image['repository']}:{image['tag']}",
        dagster_home=values["global"]["dagsterHome"],
        image_pull_policy=launcher["imagePullPolicy"],
        instance_config_map="call-coach-instance",
        postgres_password_secret=values["global"]["postgresqlSecretName"],
        env_secrets=[secret["name"] for secret in launcher["envSecrets"]],
        labels=launcher["labels"],
        resources=launcher["resources"],
        security_context=models.k8s_snake_case_dict(client.V1SecurityContext, launcher["securityContext"]),
    )
    job = dagster_k8s_job.construct_dagster_k8s_job(
        job_config=config,
        args=["dagster", "api", "execute_run", "{}"],
        job_name="dagster-run-1",
        component="run_worker",
        labels={"dagster/run-id": "run-1"},
        user_defined_k8s_config=dagster_k8s_job.UserDefinedDagsterK8sConfig(
            pod_spec_config={"automount_service_account_token": False},
            job_spec_config={
                "ttl_seconds_after_finished": run_config["jobSpecConfig"]["ttlSecondsAfterFinished"],
            },
        ),
    )
    return job.to_dict()


def test_a_run_is_one_job_that_is_never_restarted_by_kubernetes(values: dict[str, Any]) -> None:
    job = rendered_job(values)
    pod = job["spec"]["template"]["spec"]
    assert job["kind"] == "Job"
    # Dagster retries runs; a pod that came back by itself would run the same run twice
    assert (pod["restart_policy"], job["spec"]["backoff_limit"]) == ("Never", 0)
    (container,) = pod["containers"]
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    assert job["metadata"]["labels"]["dagster/run-id"] == "run-1"
    assert job["spec"]["ttl_seconds_after_finished"] == 86_400


def test_a_run_uses_the_image_of_its_code(values: dict[str, Any]) -> None:
    (container,) = rendered_job(values)["spec"]["template"]["spec"]["containers"]
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    assert container["image"] == f"{deployment['image']['repository']}:{deployment['image']['tag']}"
    assert deployment["includeConfigInLaunchedRuns"]["enabled"]


def test_secrets_reach_a_run_by_reference_only(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setenv("GONG_API_SECRET", SECRET)
    job = rendered_job(values)
    assert SECRET not in repr(job)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert [source["secret_ref"]["name"] for source in container["env_from"]] == ["call-coach-settings"]
    password = next(variable for variable in container["env"] if variable["name"] == "DAGSTER_PG_PASSWORD")
    assert password["value_from"]["secret_key_ref"]["name"] == "call-coach-postgres"


def test_a_run_is_no_root_and_has_bounds(values: dict[str, Any]) -> None:
    pod = rendered_job(values)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["security_context"]["run_as_non_root"] is True
    assert container["security_context"]["allow_privilege_escalation"] is False
    assert container["resources"]["limits"]["memory"] == "3Gi"
    assert pod["automount_service_account_token"] is False


def test_the_cluster_and_the_laptop_share_their_pools(values: dict[str, Any]) -> None:
    local = yaml.safe_load(INSTANCE_CONFIG)
    pools = local["concurrency"]["pools"]
    assert values["concurrency"]["pools"] == {
        "defaultLimit": pools["default_limit"],
        "granularity": pools["granularity"],
    }
    assert values["dagsterDaemon"]["runMonitoring"]["enabled"] == local["run_monitoring"]["enabled"]
    assert values["dagsterDaemon"]["runRetries"]["maxRetries"] == local["run_retries"]["max_retries"]


def test_code_server_image_and_workspace_agree(values: dict[str, Any]) -> None:
    (deployment,) = values["dagster-user-deployments"]["deployments"]
    (server,) = yaml.safe_load((DEPLOYMENT / "workspace.yaml").read_text())["load_from"]
    image = (DEPLOYMENT / "Containerfile").read_text()
    assert server["grpc_server"]["port"] == deployment["port"]
    assert f'"{deployment["port"]}"' in image
    assert deployment["dagsterApiGrpcArgs"] == ["--module-name", "dagster_project.definitions"]
    local = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    assert local["module_name"] == "dagster_project.definitions"
    assert local["location_name"] == server["grpc_server"]["location_name"]


def test_the_image_holds_every_package_and_no_state() -> None:
    image = (DEPLOYMENT / "Containerfile").read_text()
    for folder in ("knowledge", "dlt_pipelines", "dagster_project", "dbt", "streamlit_app"):
        assert f"COPY {folder} {folder}" in image
    assert "USER 1000" in image
    assert ".env" not in image
    assert "tests" not in image


def test_nothing_in_the_deployment_names_a_real_host() -> None:
    for path in Path(DEPLOYMENT).iterdir():
        for word in ("amazonaws", "neon.tech", "password:", "sk-ant"):
            assert word not in path.read_text(), path
