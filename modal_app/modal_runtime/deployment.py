"""How the app is deployed: what its containers are told by the environment that it is deployed from.

Each name stands here once, with what holds where it is not set. The same names are set inside, so that the app is the
same there. Secrets are no part of this: they are in Modal's own.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from modal_app.config import BackendKind
from modal_app.errors import InputError
from modal_app.modal_runtime.claim_store import ClaimStore, FolderClaimStore
from modal_app.modal_runtime.container import Container, Storage
from modal_app.modal_runtime.storage import VOLUME_CHOICE, FolderStorage
from modal_app.protocol.tagging import HostedModel
from modal_app.protocol.training import AskedTraining
from modal_app.web.options import WebOptions

DEFAULTS: Mapping[str, str] = {
    "DAWA_MODAL_ACCESS": "password",  # who may use the web endpoints: `password`, `proxy` (Modal's tokens), `open`
    "DAWA_MODAL_STORAGE": VOLUME_CHOICE,  # what `/data` lies on: `volume` (Modal's), or `s3://bucket/folder`
    "DAWA_MODAL_S3_ENDPOINT": "",  # of the bucket, where it is not Amazon's: https://….r2.cloudflarestorage.com
    "DAWA_MODAL_GPU": "H100",
    "DAWA_MODAL_MAX_GPUS": "4",
    "DAWA_MODAL_ACE_STEP_BASE": "ACE-Step/acestep-v15-base-diffusers",
    "DAWA_MODAL_MUSICGEN_BASE": "facebook/musicgen-small",
    "DAWA_MODAL_TAGGER": "offline",
    "DAWA_MODAL_RECIPE": "auto",
    "DAWA_MODAL_TRAIN_STEPS": "",  # as the recipe says
    "DAWA_LICENCE_ACCEPTED": "",
    "DAWA_GEMINI_MODEL": "gemini-3.5-flash-lite",
    "DAWA_WEB_WAIT_SECONDS": "100",
}


def environment() -> dict[str, str]:
    """Return what is set of these, or holds without; for the containers too."""
    return {name: os.environ.get(name) or default for name, default in DEFAULTS.items()}


def web_options(settings: Mapping[str, str], password: str | None) -> WebOptions:
    """Return how the web endpoints do what a client leaves open; `password` is the secret's.

    Raises:
        InputError: a value can't be used.
    """
    access = settings["DAWA_MODAL_ACCESS"]
    if access not in ("password", "proxy", "open"):
        raise InputError("DAWA_MODAL_ACCESS: is none of `password`, `proxy`, `open`; set it to one of them")
    if access == "password" and not (password and password.strip()):
        raise InputError(
            "NAWFSIDE_APP_PASSWORD: is not in the secret, and without it anybody could spend GPU time; add it, "
            "or deploy with DAWA_MODAL_ACCESS=proxy"
        )
    tagger = settings["DAWA_MODAL_TAGGER"]
    if tagger not in ("offline", "gemini"):
        raise InputError("DAWA_MODAL_TAGGER: is neither `offline` nor `gemini`; set it to one of them")
    return WebOptions(
        training=AskedTraining(
            recipe=settings["DAWA_MODAL_RECIPE"],
            steps=int(_number(settings, "DAWA_MODAL_TRAIN_STEPS")) if settings["DAWA_MODAL_TRAIN_STEPS"] else None,
            licence_accepted=settings["DAWA_LICENCE_ACCEPTED"],
            milestones=0,  # nobody chooses among them
        ),
        bases={
            BackendKind.ACE_STEP: settings["DAWA_MODAL_ACE_STEP_BASE"],
            BackendKind.MUSICGEN: settings["DAWA_MODAL_MUSICGEN_BASE"],
        },
        tagger="gemini" if tagger == "gemini" else "offline",
        tag_model=HostedModel(name=settings["DAWA_GEMINI_MODEL"]) if tagger == "gemini" else None,
        wait_seconds=_number(settings, "DAWA_WEB_WAIT_SECONDS"),
        password=SecretStr(password) if password and access == "password" else None,
    )


def container(
    root: Path, storage: Storage, claim_store: ClaimStore, *, has_gpu: bool, inside: bool, keeps_base: bool = False
) -> Container:
    """Return where a function's body works: as given inside of Modal, else in a folder of this machine."""
    if inside:
        return Container(root, storage, claim_store, has_gpu=has_gpu, keeps_base=keeps_base)
    here = Path(os.environ.get("DAWA_DATA") or ".dawa/data").resolve()
    return Container(here, FolderStorage(), FolderClaimStore(here / "register"))


def _number(settings: Mapping[str, str], name: str) -> float:
    try:
        return float(settings[name])
    except ValueError:
        raise InputError(f"{name}: is no number; mend it where the app is deployed from") from None
