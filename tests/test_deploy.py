"""What is shipped for clusters of machines: the manifest is one that a linter accepts, and its file is one of ours."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from fastcascade import config

yaml = pytest.importorskip("yaml")
MANIFEST = Path(__file__).parents[1] / "deploy" / "kubernetes.yaml"


def documents() -> dict[str, Any]:
    """All of them, by kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))}


def test_every_document_is_what_kubernetes_takes() -> None:
    """The linter knows each kind and each field, and finds nothing."""
    if find_spec("kubernetes_validate") is None:
        pytest.skip("there is no linter here: pip install kubernetes-validate")
    import kubernetes_validate  # type: ignore[import-untyped] # noqa: PLC0415 - it may not be there

    for each in documents().values():
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_its_configuration_is_read_by_the_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file in the manifest loads, listens where the probes ask, and shares a store."""
    monkeypatch.setenv("REDIS_URL", "rediss://redis.example.com:6379/0")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-made-up")
    found = documents()
    file = tmp_path / "cascade.toml"
    file.write_text(found["ConfigMap"]["data"]["cascade.toml"], encoding="utf-8")
    told = config.load_settings(file)
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert told.port == container["ports"][0]["containerPort"]
    assert told.shared is not None
    assert told.shared.url.startswith("rediss://")
    assert config.load(file).cache is not None


def test_a_pod_is_given_the_time_that_its_drain_takes() -> None:
    """The grace is longer than the wait before it and the drain together, so that no stream is cut."""
    found = documents()
    pod = found["Deployment"]["spec"]["template"]["spec"]
    drain = float(found["ConfigMap"]["data"]["cascade.toml"].split("drain = ")[1].split()[0])
    waits = float(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > drain + waits
