"""Where things lie under the data root (`/data` in a container). Nothing is read or written here."""

from pathlib import Path


class DataRoot:
    """Where things lie under the data root (`/data` in a container). Everything there can be made again."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def segments(self, audio_hash: str, recipe: str) -> Path:
        """Return the write-once folder of one file's segments: `seg_0000.wav` … and `manifest.json`."""
        return self.root / "cache" / "segments" / audio_hash / recipe

    def scratch(self) -> Path:
        """Folders of work in progress, on the same file system as what they become."""
        return self.root / "scratch"

    def latents(self) -> Path:
        """Return the write-once folder of encoded segments."""
        return self.root / "cache" / "latents"

    def landmarks(self) -> Path:
        """Return the write-once folder of songs' landmarks, by which copies of them are found."""
        return self.root / "cache" / "landmarks"

    def tags(self) -> Path:
        """Return what hosted taggers answered and were paid for."""
        return self.root / "cache" / "tags"

    def training_data(self, producer_id: str) -> Path:
        """Return the published view of a producer's segments and texts."""
        return self.root / "training_data" / producer_id

    def pictures(self, producer_id: str) -> Path:
        """Return what was drawn of a producer's segments."""
        return self.root / "pictures" / producer_id

    def run(self, run_id: str) -> Path:
        """Return the folder of one training run."""
        return self.root / "runs" / run_id

    def lora(self, producer_id: str, model_name: str) -> Path:
        """Return a published adapter in the generator's own format."""
        return self.root / "loras" / f"{producer_id}_{model_name}.safetensors"

    def peft_model(self, producer_id: str) -> Path:
        """Return the folder of a published adapter in PEFT's format."""
        return self.root / "models" / producer_id

    def outputs(self) -> Path:
        """Generated audio."""
        return self.root / "outputs"

    def uploads(self, producer_id: str) -> Path:
        """Return what was uploaded for a producer over HTTP: `<job>/<file>`."""
        return self.root / "uploads" / producer_id

    def producer_job(self, run_id: str) -> Path:
        """Return what a training over HTTP keeps until it is done: fetched files, and its plan."""
        return self.root / "producer_jobs" / run_id
