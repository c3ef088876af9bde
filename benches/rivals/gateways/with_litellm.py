"""litellm's proxy: one worker, one model, its Messages route. It falls back on errors alone, so nothing escalates."""

import sys
from pathlib import Path

from contender import Contender, Job, port_and_url
from processes import program
from site_of import Site
from upstream import HEADERS, SMALL, version_of

CONFIG = """\
model_list:
  - model_name: {model}
    litellm_params: {{model: anthropic/{model}, api_base: "{url}", api_key: made-up}}
litellm_settings: {{telemetry: false}}
general_settings: {{master_key: sk-made-up, disable_spend_logs: true}}
"""


def contenders(job: Job, site: Site) -> list[Contender]:
    if job in ("accept", "start"):
        return [_litellm(site.upstream.url, expect=b"Paris", calls=1)]
    if job == "stream":
        return [_litellm(site.upstream.chunks, expect=b"piece 19", body=site.streamed, calls=1)]
    return []


def _litellm(upstream: str, **more: object) -> Contender:
    found = program("litellm")
    port, url = port_and_url()
    python = Path(found).with_name("python")
    asks = "from importlib import metadata; print(metadata.version('litellm'))"
    return Contender(
        "litellm proxy",
        [found, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
        url,
        version_of([str(python) if python.exists() else sys.executable, "-c", asks], r"(\d\S*)"),
        files={"config.yaml": CONFIG.format(model=SMALL, url=upstream)},
        headers={**HEADERS, "authorization": "Bearer sk-made-up", "x-api-key": "sk-made-up"},
        environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
        slow=True,
        note="a proxy to one model: no gate",
        **more,  # type: ignore[arg-type]
    )
