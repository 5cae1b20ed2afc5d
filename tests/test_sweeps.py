"""Every profile and launch recipe that is shipped is one that its reader takes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import kubernetes_validate
import psutil
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from kdray.config.loading import parse_document
from kdray.loading import load_sweep_config
from kdray.profile import profile_output

ROOT = Path(__file__).parent.parent
SWEEPS = ROOT / "sweeps"
SPACE = ROOT / "search_spaces" / "multilabel.yaml"
PROFILES = ["local.yaml", "multi_gpu.yaml", "cluster.yaml", "cluster_s3.yaml"]
COMMANDS = {
    **{
        name: f"kdray sweep search_spaces/multilabel.yaml --profile sweeps/{name}"
        for name in PROFILES
    },
    "ray_cluster.yaml": "ray up sweeps/ray_cluster.yaml",
    "kuberay.yaml": "kubectl apply -f sweeps/kuberay.yaml",
    "slurm.sh": "sbatch sweeps/slurm.sh search_spaces/multilabel.yaml",
}


def text(name: str) -> str:
    return (SWEEPS / name).read_text(encoding="utf-8")


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text("kuberay.yaml")))


def manifest(kind: str, name: str) -> dict[str, Any]:
    (found,) = (m for m in manifests() if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return found


def pods() -> dict[str, dict[str, Any]]:
    cluster = manifest("RayJob", "kdray-multilabel")["spec"]["rayClusterSpec"]
    workers = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {"head": cluster["headGroupSpec"]["template"], **workers}


def test_there_is_a_test_for_each_of_them() -> None:
    assert {path.name for path in SWEEPS.iterdir()} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_opens_with_its_purpose_and_its_exact_command(name: str) -> None:
    head = re.match(r"(#.*\n)+", text(name))
    assert head
    lines = head[0].removeprefix("#!/usr/bin/env bash\n").splitlines()
    assert lines[0].endswith(".")
    assert any(line.removeprefix("#").strip().startswith(COMMANDS[name]) for line in lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_token_authentication_is_never_switched_off(name: str) -> None:
    modes = re.findall(r"RAY_AUTH_MODE\W+(\w+)", text(name))
    assert set(modes) <= {"token"}
    if "ray start" in text(name):
        assert modes, "a cluster without a token is open to its network"


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_goes_with_a_search_space(name: str) -> None:
    config = load_sweep_config(SPACE, profile=SWEEPS / name)
    written = yaml.safe_load(text(name))
    for section in ("resources", "tracking"):
        for key, value in written.get(section, {}).items():
            assert getattr(getattr(config, section), key) == value
    assert config.search.time_budget_s == written["search"]["time_budget_s"]
    assert profile_output(parse_document(text(name), name, SWEEPS)) == written["output"]


def test_one_profile_shares_out_gpus_and_one_writes_to_an_object_store() -> None:
    slots = load_sweep_config(SPACE, profile=SWEEPS / "multi_gpu.yaml").resources
    assert slots.gpus_per_trial == 0.5
    assert yaml.safe_load(text("cluster_s3.yaml"))["output"].startswith("s3://")


def test_the_cluster_launcher_file_is_one_that_ray_takes() -> None:
    config = prepare_config(yaml.safe_load(text("ray_cluster.yaml")))
    validate_config(config)
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert all((ROOT / path).exists() for path in config["file_mounts"].values() if path[0] != "~")


def test_the_cluster_launcher_file_takes_the_machines_of_ones_own_that_it_tells_of() -> None:
    told = re.search(r"provider: (\{type: local.*\})", text("ray_cluster.yaml"))
    assert told
    written = yaml.safe_load(text("ray_cluster.yaml"))
    own = {**written, "provider": yaml.safe_load(told[1])}
    own = {k: own[k] for k in own.keys() - {"available_node_types", "head_node_type"}}
    config = prepare_config(own)
    validate_config(config)
    assert config["max_workers"] == 2


@pytest.mark.parametrize("name", ["setup_commands", "head_start_ray_commands"])
def test_the_commands_of_the_cluster_launcher_file_are_shell(name: str) -> None:
    for line in yaml.safe_load(text("ray_cluster.yaml"))[name]:
        subprocess.run(["bash", "-n", "-c", line], check=True)


@pytest.mark.parametrize("wanted", ["ConfigMap", "PersistentVolumeClaim", "Deployment", "Service"])
def test_what_kubernetes_itself_makes_is_as_its_schema_says(wanted: str) -> None:
    found = [m for m in manifests() if m["kind"] == wanted]
    assert found
    for one in found:
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", ["head", "gpu"])
def test_the_pods_of_the_ray_cluster_are_as_the_schema_of_kubernetes_says(name: str) -> None:
    template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}}
    whole = {**template, "template": pods()[name]}
    kubernetes_validate.validate(whole, kubernetes_validate.latest_version(), strict=True)


def test_the_rayjob_has_what_its_operator_requires_and_nothing_unknown() -> None:
    job = manifest("RayJob", "kdray-multilabel")
    assert job["apiVersion"] == "ray.io/v1"
    spec = job["spec"]
    assert spec.keys() == {
        "entrypoint",
        "backoffLimit",
        "shutdownAfterJobFinishes",
        "ttlSecondsAfterFinished",
        "rayClusterSpec",
    }
    cluster = spec["rayClusterSpec"]
    assert cluster.keys() == {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
    assert cluster["headGroupSpec"].keys() == {"rayStartParams", "template"}
    (group,) = cluster["workerGroupSpecs"]
    counts = {"replicas", "minReplicas", "maxReplicas"}
    assert group.keys() == {"groupName", "rayStartParams", "template"} | counts
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert all(isinstance(v, str) for v in cluster["headGroupSpec"]["rayStartParams"].values())


def test_the_ray_cluster_on_kubernetes_asks_for_a_token_in_the_version_that_is_tested() -> None:
    cluster = manifest("RayJob", "kdray-multilabel")["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"ray=={cluster['rayVersion']}" in pins
    assert f"FROM rayproject/ray:{cluster['rayVersion']}-" in text("kuberay.yaml")


def test_everything_that_the_pods_on_kubernetes_mount_is_in_the_manifest() -> None:
    claims = {m["metadata"]["name"] for m in manifests() if m["kind"] == "PersistentVolumeClaim"}
    server = manifest("Deployment", "kdray-mlflow")["spec"]["template"]
    for pod in [*pods().values(), server]:
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounts = pod["spec"]["containers"][0]["volumeMounts"]
        assert {mount["name"] for mount in mounts} == volumes.keys()
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
            else:
                assert manifest("ConfigMap", volume["configMap"]["name"])


def test_the_sweep_on_kubernetes_finds_its_profile_its_server_and_its_volume() -> None:
    (name,) = manifest("ConfigMap", "kdray-profile")["data"]
    profile = manifest("ConfigMap", "kdray-profile")["data"][name]
    job = manifest("RayJob", "kdray-multilabel")["spec"]
    mounts = {
        m["name"]: m["mountPath"] for m in pods()["head"]["spec"]["containers"][0]["volumeMounts"]
    }
    assert f"--profile {mounts['profile']}/{name}" in job["entrypoint"]
    assert profile_output(parse_document(profile, name, ROOT)) == mounts["runs"]
    service = manifest("Service", "kdray-mlflow")
    server = manifest("Deployment", "kdray-mlflow")["spec"]["template"]
    assert service["spec"]["selector"].items() <= server["metadata"]["labels"].items()
    where = f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert yaml.safe_load(profile)["tracking"]["uri"] == f"http://{where}"
    assert any(where in argument for argument in server["spec"]["containers"][0]["args"])
    subprocess.run(["sh", "-n", "-c", job["entrypoint"]], check=True)


def test_the_profile_on_kubernetes_goes_with_a_search_space(tmp_path: Path) -> None:
    (profile,) = manifest("ConfigMap", "kdray-profile")["data"].values()
    (tmp_path / "profile.yaml").write_text(profile, encoding="utf-8")
    assert load_sweep_config(SPACE, profile=tmp_path / "profile.yaml").resources.gpus_per_trial == 1


def test_the_slurm_script_is_sound() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    for check in (["bash", "-n"], [str(shellcheck)]):
        subprocess.run([*check, SWEEPS / "slurm.sh"], check=True)
    assert os.access(SWEEPS / "slurm.sh", os.X_OK)


def slurm(folder: Path, target: str, sweep: str) -> subprocess.Popen[str]:
    """Starts the Slurm script where each program writes down how it was called.

    There is no Slurm here: `srun` runs at once what it is given, `ray start` stays, and `kdray`
    does what `sweep` says.
    """
    programs = {
        "scontrol": "echo node1; echo node2",
        "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
        "hostname": "echo 10.0.0.1",
        "ray": '[[ $1 != start ]] || { echo $$ >> "$HOME/pids"; exec sleep 60; }',
        "python": "cat > waited",
        "kdray": sweep,
    }
    bin_folder = folder / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    (folder / ".ray").mkdir()
    (folder / ".ray" / "auth_token").touch(0o644)
    for name, does in programs.items():
        said = f'echo "{name} $RAY_AUTH_MODE $*" >> "$HOME/calls"'
        (bin_folder / name).write_text(f"#!/usr/bin/env bash\n{said}\n{does}\n", encoding="utf-8")
        (bin_folder / name).chmod(0o755)
    given = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_CPUS_PER_TASK": "8", "HOME": str(folder)}
    words = ["bash", str(SWEEPS / "slurm.sh"), target, "--trials", "3"]
    return subprocess.Popen(words, cwd=folder, env={**os.environ, **given}, text=True)


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "Ray is left running"
        time.sleep(0.05)


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text(encoding="utf-8").splitlines()


def test_the_slurm_script_starts_every_node_with_the_token_and_ends_as_the_sweep_does(
    tmp_path: Path,
) -> None:
    both = "for _ in {1..200}; do [[ $(wc -l < $HOME/pids) != 2 ]] || break; sleep 0.05; done"
    assert slurm(tmp_path, "space.yaml", f"{both}; exit 3").wait(30) == 3
    for pid in (tmp_path / "pids").read_text(encoding="utf-8").split():
        wait_for_end(int(pid))
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
    started = [call for call in calls(tmp_path) if call.startswith("ray token start")]
    head = "--head --node-ip-address=10.0.0.1 --port=6379"
    assert sorted(started) == [
        "ray token start --address=10.0.0.1:6379 --num-cpus=8 --block",
        f"ray token start {head} --num-cpus=8 --block",
    ]
    assert "python token - 10.0.0.1:6379 2" in calls(tmp_path)
    swept = "kdray token sweep space.yaml --trials 3 --address 10.0.0.1:6379"
    assert swept in calls(tmp_path)
    compile((tmp_path / "waited").read_text(encoding="utf-8"), "waited", "exec")


def test_the_slurm_script_goes_on_with_the_folder_of_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    assert slurm(tmp_path, "runs/tiny", "exit 0").wait(30) == 0
    resumed = "kdray token resume runs/tiny --trials 3 --address 10.0.0.1:6379"
    assert resumed in calls(tmp_path)


def test_the_slurm_script_stops_the_sweep_in_order_before_its_time_is_over(tmp_path: Path) -> None:
    script = slurm(
        tmp_path,
        "space.yaml",
        'trap "sleep 0.5; echo reported >> $HOME/calls; exit 130" INT; '
        'echo begun >> "$HOME/calls"; while :; do sleep 0.1; done',
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "calls").exists() or "begun" not in calls(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    script.send_signal(signal.SIGINT)
    assert script.wait(30) == 130
    assert "reported" in calls(tmp_path)
