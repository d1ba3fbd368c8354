"""C2PA manifests (Content Credentials): signed into a file that is finished otherwise, and read from any file.

Signed bytes differ each time, so whatever identifies a rendering is taken before. Nothing is fetched from elsewhere:
manifests that only have an address are not followed, since files come from strangers.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dawa_assets.prompting.json_access import mapping, objects, text
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
_RENDERING = ("generator", "base", "lora", "run", "audio_sha256")
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
    rendering: dict[str, str]
    """Generator, base, adapter, run and SHA-256 of the samples, if it names them as this software does."""
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

    values = (provenance.generator, provenance.base, provenance.lora, provenance.run, audio_sha256)
    entry = {name: value for name, value in zip(_RENDERING, values, strict=True) if value is not None}
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
            {"label": ASSERTION, "data": entry},
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
    """Return what a file's manifest says, as clean lines; None where it has none that can be read here.

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
    report = mapping(found)
    active = mapping(report, "manifests", str(report.get("active_manifest")))
    assertions = {text(each.get("label")): mapping(each.get("data")) for each in objects(active.get("assertions"))}
    actions = next((data for label, data in assertions.items() if label.startswith("c2pa.actions")), {})
    generator = next(objects(active.get("claim_generator_info")), {})
    signature = mapping(active.get("signature_info"))
    own = assertions.get(ASSERTION, {})
    return Credentials(
        state=text(report.get("validation_state")) or "Invalid",
        signer=text(signature.get("common_name")) or text(signature.get("issuer")) or "unknown",
        made_by=text(generator.get("name")) or "unknown",
        is_generated=any(
            text(action.get("digitalSourceType")).endswith("/trainedAlgorithmicMedia")
            for action in objects(actions.get("actions"))
        ),
        rendering={name: value for name in _RENDERING if (value := text(own.get(name)))},
        problems=tuple(text(each.get("code")) for each in objects(report.get("validation_status"))),
    )
