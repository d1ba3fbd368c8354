"""An orchestrator as a process: `lora_weights` of one artist through the Dagster engine, on the stand-in for Modal.

`python -m tests.fakes.modal_server.orchestrator SETTINGS_JSON DATABASE_URL SLUG` prints what became of it as JSON.
"""

import json
import os
import sys
import tempfile
from typing import Any

import dagster as dg

from dawa_assets.defs.assets.lora import lora_weights
from dawa_assets.defs.resources import Pipeline
from modal_app.modal_runtime.client import ModalCalls
from modal_app.modal_runtime.polling import Pace
from resources.bucket.folder import FolderBucket
from resources.compute.modal import ModalCompute
from resources.ports import Ports
from resources.prompt_writer.offline import OfflineWriter
from resources.settings import Settings
from tests.databases import GivenDatabase


class ModalPipeline(Pipeline):
    """The pipeline's ports with the app's calls; the bucket is a folder that the containers see too."""

    database_url: str

    def ports(self) -> Ports:
        settings = Settings.load(**self.overrides)
        return Ports(
            settings=settings,
            database=GivenDatabase(self.database_url),
            bucket=FolderBucket(settings.home / "bucket"),
            prompt_writer=OfflineWriter(),
            compute=ModalCompute(ModalCalls(settings.modal_app), Pace(0.1, 0.3)),
        )


def main(overrides: dict[str, str], database_url: str, slug: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        instance.add_dynamic_partitions("artist", [slug])
        result = dg.materialize(
            [lora_weights],
            partition_key=slug,
            instance=instance,
            resources={"pipeline": ModalPipeline(overrides=overrides, database_url=database_url)},
            raise_on_error=False,
            selection=[lora_weights],
        )
        answer: dict[str, Any] = {"success": result.success}
        if result.success:
            (event,) = result.asset_materializations_for_node("lora_weights")
            values = {name: getattr(value, "value", None) for name, value in event.metadata.items()}
            answer["metadata"] = {name: value for name, value in values.items() if isinstance(value, str | float)}
        else:
            answer["errors"] = [
                event.step_failure_data.error.to_string()
                for event in result.all_events
                if event.is_step_failure and event.step_failure_data.error
            ]
    return answer


if __name__ == "__main__":
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    answer = main(json.loads(sys.argv[1]), sys.argv[2], sys.argv[3])
    sys.stdout.write(json.dumps(answer, default=str) + "\n")
