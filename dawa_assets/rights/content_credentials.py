"""C2PA manifests (Content Credentials): signed into a file that is finished otherwise, and read from any file.

Signed bytes differ each time, so whatever identifies a rendering is taken before. Nothing is fetched from elsewhere:
manifests that only have an address are not followed, since files come from strangers.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dawa_assets.rights.certificate import Identity
from modal_app.errors import JobError
from modal_app.marks.tags import DIGITAL_SOURCE_TYPE, SOFTWARE, Provenance, software_version

ASSERTION = "dev.dawa.rendering"
"""The label of the assertion that names generator, base, adapter and run."""

_TYPES = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
}
_NOT_ALLOWED = ("cawg.ai_generative_training", "cawg.ai_training", "cawg.data_mining", "cawg.ai_inference")
_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}


@dataclass(frozen=True)
class Credentials:
    """What the manifest of a file says, and whether that can be believed."""

    state: str
    """`Trusted`, `Valid` (signed by somebody unknown) or `Invalid` (changed since it was signed)."""
    signer: str
    made_by: str
    is_generated: bool
    """Whether it says that a trained model made it."""
    rendering: dict[str, Any]
    """Generator, base, adapter and run, where it was signed by this software; empty for any other."""
    problems: tuple[str, ...]


def is_installed() -> bool:
    """Return whether manifests can be signed and read here."""
    from importlib.util import find_spec

    return find_spec("c2pa") is not None


def sign(
    source: Path, target: Path, provenance: Provenance, audio_sha256: str, made_at: datetime, by: Identity
) -> None:
    """Write a copy of a file with a manifest; the suffix says what it is.

    Args:
        source: the finished file: one more change to it, and the manifest is invalid.
        target: where the signed one is written.
        provenance: by what it was generated.
        audio_sha256: of the samples as they were rendered.
        made_at: when.
        by: whose signature it is.

    Raises:
        JobError: it can't be signed.
    """
    import c2pa

    entry = {
        "generator": provenance.generator,
        "base": provenance.base,
        "lora": provenance.lora,
        "run": provenance.run,
        "audio_sha256": audio_sha256,
    }
    software_agent = {"name": SOFTWARE, "version": software_version()}
    manifest = {
        "claim_generator_info": [software_agent],
        "title": target.name,
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {
                    "actions": [
                        {
                            "action": "c2pa.created",
                            "when": made_at.isoformat(timespec="seconds"),
                            "digitalSourceType": DIGITAL_SOURCE_TYPE,
                            "softwareAgent": software_agent,
                            "description": provenance.sentence,
                        }
                    ]
                },
            },
            {
                "label": "cawg.training-mining",
                "data": {"entries": {name: {"use": "notAllowed"} for name in _NOT_ALLOWED}},
            },
            {"label": ASSERTION, "data": {name: value for name, value in entry.items() if value is not None}},
        ],
    }
    kind = _TYPES[source.suffix.lower()]
    try:
        signer = c2pa.Signer.from_info(
            c2pa.C2paSignerInfo(alg=b"es256", sign_cert=by.certificates, private_key=by.key, ta_url=None)
        )
        with signer, c2pa.Builder(manifest) as builder, source.open("rb") as unsigned, target.open("w+b") as signed:
            builder.sign(signer, kind, unsigned, signed)
    except c2pa.C2paError as error:
        raise JobError(f"{source.name}: can't be signed: {error}; look at DAWA_MARKS_CERTIFICATE") from None


def read(path: Path, trusted: bytes | None = None) -> Credentials | None:
    """Return what a file's manifest says; None where it has none that can be read here.

    Args:
        path: any file.
        trusted: certificates in PEM whose signatures are believed beside those that the world trusts.
    """
    import c2pa

    settings: dict[str, Any] = {**_OFFLINE, **({"trust": {"trust_anchors": trusted.decode()}} if trusted else {})}
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            path.open("rb") as file,
            c2pa.Reader(None, file, context=context) as reader,  # what it is, its bytes say
        ):
            found = json.loads(reader.json())
    except (c2pa.C2paError, OSError, ValueError):
        return None
    active = found.get("manifests", {}).get(found.get("active_manifest", ""), {})
    assertions = {str(each.get("label", "")): each.get("data") for each in active.get("assertions", [])}
    actions = next((data for label, data in assertions.items() if label.startswith("c2pa.actions")), None) or {}
    generators = active.get("claim_generator_info") or [{}]
    own = assertions.get(ASSERTION)
    signature = active.get("signature_info") or {}
    return Credentials(
        state=str(found.get("validation_state", "Invalid")),
        signer=str(signature.get("common_name") or signature.get("issuer") or "unknown"),
        made_by=str(generators[0].get("name", "unknown")),
        is_generated=any(
            str(action.get("digitalSourceType", "")).endswith("/trainedAlgorithmicMedia")
            for action in actions.get("actions", [])
        ),
        rendering=own if isinstance(own, dict) else {},
        problems=tuple(str(each.get("code")) for each in found.get("validation_status") or []),
    )
