"""What the app's containers are made from: one image for work without a GPU, and one per music generator.

Names of packages stand here, their versions in `constraints.txt` of the checkout that is deployed.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from modal_app.config import BackendKind
from modal_app.errors import InputError
from modal_app.modal_runtime.storage import WEIGHTS

if TYPE_CHECKING:
    import modal

PYTHON = "3.11"
_CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"

WORKER = (
    *("av", "fastapi", "genai-prices", "google-genai", "httpx", "httpx-secure", "matplotlib", "numpy", "pydantic"),
    *("scipy", "soundfile", "soxr"),
)
GENERATORS = {
    BackendKind.ACE_STEP: ("accelerate", "audfprint2", "diffusers", "peft", "safetensors", "torch", "transformers"),
    BackendKind.MUSICGEN: ("accelerate", "audfprint2", "peft", "safetensors", "torch", "transformers"),
}

_ENVIRONMENT = {
    "HF_HOME": str(WEIGHTS),
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MPLBACKEND": "Agg",
    "TOKENIZERS_PARALLELISM": "false",
}


def pinned(names: tuple[str, ...]) -> list[str]:
    """Packages with the versions that this project is tested with.

    Raises:
        InputError: this is no checkout, or a package has no version in it.
    """
    try:
        lines = _CONSTRAINTS.read_text().splitlines()
    except OSError:
        raise InputError(f"{_CONSTRAINTS}: is not there; deploy the app from a checkout of this project") from None
    versions = {line.partition("==")[0].lower(): line for line in lines if "==" in line}
    missing = sorted(name for name in names if name.lower() not in versions)
    if missing:
        raise InputError(f"{_CONSTRAINTS}: has no version of {', '.join(missing)}; add it")
    return [versions[name.lower()] for name in names]


def worker_image() -> "modal.Image":
    """For audio, tags and the web endpoints."""
    return _image(WORKER)


def generator_image(backend: BackendKind) -> "modal.Image":
    """For training and rendering with one generator, on a GPU: torch is the build with CUDA, as it comes on Linux."""
    return _image((*WORKER, *GENERATORS[backend]))


def _image(names: tuple[str, ...]) -> "modal.Image":
    import modal

    image = modal.Image.debian_slim(python_version=PYTHON)
    if modal.is_local():  # inside, the image is there, and the checkout is not
        constraints = "/constraints.txt"
        image = image.add_local_file(_CONSTRAINTS, constraints, copy=True)
        image = image.uv_pip_install(*pinned(names), extra_options=f"--constraint {constraints}")
    return image.env(_ENVIRONMENT).add_local_python_source("modal_app")
