"""Marked files say what they are, play as before, and have the same samples; a change to one is found."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from dawa_assets.rights import content_credentials
from dawa_assets.rights.certificate import Identity, given_identity, own_identity
from modal_app.errors import InputError, JobError
from modal_app.marks.encode import SUFFIXES, check_suffix, encode
from modal_app.marks.tags import Provenance, append_info

needs_c2pa = pytest.mark.skipif(not content_credentials.is_installed(), reason="the extra `marks` is not installed")

BY_LORA = Provenance("ace_step", "tiny", "nova:nawfside_lora", "run-1")
MADE_AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
Samples = npt.NDArray[np.int16]


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    times = np.arange(2 * 48_000) / 48_000
    stereo = np.stack([np.sin(times * 2764), np.sin(times * 3456)], axis=1) * 12_000
    path = tmp_path / "rendered.wav"
    soundfile.write(path, stereo.astype(np.int16), 48_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return own_identity(tmp_path_factory.mktemp("marks"))


def _samples(path: Path) -> Samples:
    samples: Samples = soundfile.read(path, dtype="int16", always_2d=True)[0]
    return samples


def _decoded(path: Path) -> npt.NDArray[np.float32]:
    with av.open(str(path)) as file:
        blocks = [frame.to_ndarray() for frame in file.decode(audio=0)]
    return np.concatenate([block.astype(np.float32) for block in blocks], axis=-1)


def _tags(path: Path) -> str:
    with av.open(str(path)) as file:
        return " ".join([*file.metadata.values(), *file.streams.audio[0].metadata.values()])


def _tagged(wav: Path, target: Path) -> Path:
    if target.suffix == ".wav":
        target.write_bytes(wav.read_bytes())
        append_info(target, BY_LORA)
    else:
        encode(wav, target, BY_LORA)
    return target


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_says_in_words_by_what_it_was_made(wav: Path, tmp_path: Path, suffix: str) -> None:
    tags = _tags(_tagged(wav, tmp_path / f"out{suffix}"))
    for said in ("AI-generated", "trainedAlgorithmicMedia", "ace_step", "tiny", "nova:nawfside_lora", "run-1", "DAWA"):
        assert said in tags


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_the_samples_are_those_that_were_rendered(wav: Path, tmp_path: Path, suffix: str) -> None:
    assert np.array_equal(_samples(_tagged(wav, tmp_path / f"out{suffix}")), _samples(wav))


@needs_c2pa
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_signed_file_is_valid_and_plays_as_before(wav: Path, tmp_path: Path, identity: Identity, suffix: str) -> None:
    plain, signed = _tagged(wav, tmp_path / f"plain{suffix}"), tmp_path / f"signed{suffix}"
    content_credentials.sign(plain, signed, BY_LORA, "0" * 64, MADE_AT, identity)
    found = content_credentials.read(signed)
    assert found is not None
    assert (found.state, found.problems) == ("Valid", ("signingCredential.untrusted",))
    assert found.is_generated
    assert found.made_by == "DAWA assets"
    assert found.rendering == {
        "generator": "ace_step",
        "base": "tiny",
        "lora": "nova:nawfside_lora",
        "run": "run-1",
        "audio_sha256": "0" * 64,
    }
    assert np.array_equal(_decoded(signed), _decoded(plain))
    assert "AI-generated" in _tags(signed)


@needs_c2pa
def test_the_own_certificate_is_trusted_where_it_is_known(wav: Path, tmp_path: Path, identity: Identity) -> None:
    signed = tmp_path / "signed.wav"
    content_credentials.sign(wav, signed, BY_LORA, "0" * 64, MADE_AT, identity)
    stranger = own_identity(tmp_path / "stranger")
    states = [content_credentials.read(signed, known.certificates) for known in (identity, stranger)]
    assert [found.state for found in states if found is not None] == ["Trusted", "Valid"]


@needs_c2pa
def test_a_changed_sample_makes_the_manifest_invalid(wav: Path, tmp_path: Path, identity: Identity) -> None:
    signed = tmp_path / "signed.wav"
    content_credentials.sign(wav, signed, BY_LORA, "0" * 64, MADE_AT, identity)
    content = bytearray(signed.read_bytes())
    content[1000] ^= 1
    signed.write_bytes(content)
    found = content_credentials.read(signed, identity.certificates)
    assert found is not None
    assert found.state == "Invalid"
    assert "assertion.dataHash.mismatch" in found.problems


@needs_c2pa
def test_what_a_stranger_signed_is_read_as_clean_lines(wav: Path, tmp_path: Path, identity: Identity) -> None:
    import c2pa

    signed, hostile = tmp_path / "signed.wav", "\x1b[2J\nred\x07"
    manifest = {
        "claim_generator_info": [{"name": hostile}],
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": hostile}]}},
            {"label": content_credentials.ASSERTION, "data": {"base": hostile, "lora": {"a": [1]}, hostile: "x"}},
        ],
    }
    by = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=identity.certificates, private_key=identity.key, ta_url=None)
    with (
        c2pa.Signer.from_info(by) as signer,
        c2pa.Builder(manifest) as builder,
        wav.open("rb") as plain,
        signed.open("w+b") as out,
    ):
        builder.sign(signer, "audio/wav", plain, out)
    found = content_credentials.read(signed)
    assert found is not None
    assert (found.made_by, found.rendering, found.is_generated) == ("[2J red", {"base": "[2J red"}, False)


@needs_c2pa
@pytest.mark.parametrize("content", [b"", b"RIFF\xff\xff\xff\x7fWAVEC2PA", b"not a sound", b"ID3" + b"\xff" * 5000])
def test_a_file_without_a_manifest_has_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.wav"
    path.write_bytes(content)
    assert content_credentials.read(path) is None


def test_a_mark_is_refused_on_what_is_no_whole_wav(wav: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(wav.read_bytes()[:-100])
    for path in (cut, _empty(tmp_path)):
        before = path.read_bytes()
        with pytest.raises(JobError, match="is no whole WAV; render it again"):
            append_info(path, BY_LORA)
        assert path.read_bytes() == before


def _empty(folder: Path) -> Path:
    (folder / "empty.wav").touch()
    return folder / "empty.wav"


def test_a_name_that_is_no_formats_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"written as \.wav, \.mp3, \.flac, \.m4a"):
        check_suffix(tmp_path / "song.ogg")


def test_the_own_identity_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    first, again = own_identity(tmp_path / "marks"), own_identity(tmp_path / "marks")
    assert first == again
    assert first.is_self_made
    assert "PRIVATE" not in repr(first)
    assert stat.S_IMODE((tmp_path / "marks" / "signing.pem").stat().st_mode) == 0o600


def _bad_identities(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    one, other = (own_identity(folder / name) for name in ("one", "other"))
    certificate, key, broken = folder / "c.pem", folder / "k.pem", folder / "broken.pem"
    certificate.write_bytes(one.certificates)
    key.write_bytes(other.key)
    broken.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    yield "the key is not the certificate's", certificate, key
    yield "is no unencrypted private key of the curve P-256", certificate, broken
    yield "has no certificate in PEM", broken, key
    yield "can't be read", folder / "missing.pem", key


def test_an_identity_that_can_t_sign_is_refused_in_one_line(tmp_path: Path) -> None:
    for reason, certificate, key in _bad_identities(tmp_path):
        with pytest.raises(InputError) as refused:
            given_identity(certificate, key)
        line = str(refused.value)
        assert reason in line
        assert "c2VjcmV0" not in line
        assert "\n" not in line
