"""Adapters of other programs: read at full strength in every form, refused with the first thing that is wrong."""

import hashlib
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_app.adapters.foreign import ForeignAdapter, read_foreign
from modal_app.adapters.tensor_file import Array, write_arrays
from modal_app.errors import InputError
from tests.modal_app.adapters.travelling import original

RANK, ALPHA = 4, 6.0
MODULES = [
    f"layers.{n}.{block}.{to}" for n in (0, 1) for block in ("self_attn", "cross_attn") for to in ("to_q", "to_out.0")
]
MODULES += ["layers.0.mlp.up_proj", "layers.1.mlp.up_proj"]
NUMBERS = np.random.default_rng(0)
A = {name: NUMBERS.standard_normal((RANK, 8)).astype(np.float32) for name in MODULES}
B = {name: NUMBERS.standard_normal((6, RANK)).astype(np.float32) for name in MODULES}
CONFIG: dict[str, Any] = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": ["q_proj", "o_proj"]}


def tensors(
    name_of: Callable[[str], str], *, up: str = "lora_B", down: str = "lora_A", scale: float = 1.0, alpha: bool = False
) -> dict[str, Array]:
    found = {f"{name_of(name)}.{down}.weight": A[name] for name in MODULES}
    found |= {f"{name_of(name)}.{up}.weight": B[name] * np.float32(scale) for name in MODULES}
    return found | ({f"{name_of(name)}.alpha": np.float32([ALPHA]) for name in MODULES} if alpha else {})


def flat(prefix: str) -> Callable[[str], str]:
    return lambda name: f"{prefix}_{original(name).replace('.', '_')}"


def under(prefix: str) -> Callable[[str], str]:
    return lambda name: prefix + original(name)


def peft_folder(path: Path, weights: dict[str, Array], **changes: Any) -> Path:
    path.mkdir()
    write_arrays(path / "adapter_model.safetensors", weights, {})
    (path / "adapter_config.json").write_text(json.dumps(CONFIG | changes))
    return path


def single(path: Path, weights: dict[str, Array], **notes: str) -> Path:
    write_arrays(path, weights, notes)
    return path


OFFICIAL = tensors(under("base_model.model."))
METADATA = json.dumps({f"transformer.{key}": value for key, value in CONFIG.items()})
FULL = ALPHA / RANK
FORMS: dict[str, Callable[[Path], Path]] = {
    "the official interface": lambda at: peft_folder(at / "a", OFFICIAL),
    "its weights, beside the configuration": lambda at: peft_folder(at / "a", OFFICIAL) / "adapter_model.safetensors",
    "rsLoRA": lambda at: peft_folder(at / "a", OFFICIAL, use_rslora=True, lora_alpha=FULL * math.sqrt(RANK)),
    "our pair of before": lambda at: peft_folder(at / "a", tensors(lambda name: f"base_model.model.{name}")),
    "diffusers, with metadata": lambda at: single(
        at / "a.safetensors", tensors(lambda name: f"transformer.{name}"), lora_adapter_metadata=METADATA
    ),
    "diffusers, folded": lambda at: single(
        at / "a.safetensors", tensors(lambda name: f"transformer.{name}", scale=FULL)
    ),
    "ComfyUI, with alpha": lambda at: single(
        at / "a.safetensors", tensors(under("diffusion_model.decoder."), alpha=True)
    ),
    "Side-Step for ComfyUI": lambda at: single(
        at / "a.safetensors", tensors(under("base_model.model."), up="lora_up", down="lora_down", alpha=True)
    ),
    "kohya": lambda at: single(
        at / "a.safetensors", tensors(flat("lora_unet_decoder"), up="lora_up", down="lora_down", alpha=True)
    ),
    "LyCORIS": lambda at: single(
        at / "a.safetensors", tensors(flat("lycoris"), up="lora_up", down="lora_down", alpha=True)
    ),
    "bare, of DiffSynth": lambda at: single(
        at / "a.safetensors", tensors(under(""), up="lora_B.default", down="lora_A.default", scale=FULL)
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_at_full_strength(tmp_path: Path, form: str) -> None:
    source = FORMS[form](tmp_path)

    found = read_foreign(source)

    assert (found.rank, found.targets) == (
        RANK,
        ["cross_attn.to_out.0", "cross_attn.to_q", "mlp.up_proj", "self_attn.to_out.0", "self_attn.to_q"],
    )
    assert found.weights.keys() == {f"{name}.lora_{part}.weight" for name in MODULES for part in "AB"}
    for name in MODULES:
        delta = found.weights[f"{name}.lora_B.weight"].astype(float) @ found.weights[f"{name}.lora_A.weight"]
        wanted = FULL * B[name].astype(float) @ A[name]
        assert np.linalg.norm(delta - wanted) <= 1e-6 * np.linalg.norm(wanted), name
    files = [source] if source.is_file() else list(source.iterdir())
    files += [source.with_name("adapter_config.json")] if source.name == "adapter_model.safetensors" else []
    assert found.files == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_ranks_and_alphas_of_single_modules_are_heeded(tmp_path: Path) -> None:
    """As Side-Step's analysis hands them out."""
    small, loud = "layers.1.self_attn.to_q", "layers.0.self_attn.to_out.0"
    weights = OFFICIAL | {
        f"base_model.model.{original(small)}.lora_A.weight": A[small][:2],
        f"base_model.model.{original(small)}.lora_B.weight": B[small][:, :2],
    }
    patterns = {
        "rank_pattern": {original(small): 2},
        "alpha_pattern": {original(small): 8, "0.self_attn.o_proj": 12.5, "self_attn.o_proj": 6},
    }

    found = read_foreign(peft_folder(tmp_path / "a", weights, **patterns))

    assert (found.rank, found.scale) == (4, "times 1.5 to 4 at rank 2 to 4, by adapter_config.json")
    assert {array.shape for array in found.weights.values()} == {(4, 8), (6, 4)}
    for name in MODULES:
        rank = 2 if name == small else 4
        scale = {small: 4.0, loud: 12.5 / 4}.get(name, FULL)
        delta = found.weights[f"{name}.lora_B.weight"].astype(float) @ found.weights[f"{name}.lora_A.weight"]
        wanted = scale * B[name].astype(float)[:, :rank] @ A[name][:rank]
        assert np.linalg.norm(delta - wanted) <= 1e-6 * np.linalg.norm(wanted), name


def test_numbers_of_16_bits_are_read_too(tmp_path: Path) -> None:
    import struct

    half = {name: weight.astype("<f2") for name, weight in tensors(under(""), scale=FULL).items()}
    brain = {name: (weight.view("<u4") >> 16).astype("<u2") for name, weight in tensors(under(""), scale=FULL).items()}
    for kind, stored in (("F16", half), ("BF16", brain)):
        header, data = {}, b""
        for name, array in stored.items():
            place = [len(data), len(data) + array.nbytes]
            header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": place}
            data += array.tobytes()
        text = json.dumps(header).encode()
        (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        weights = read_foreign(tmp_path / "a.safetensors").weights
        for name in MODULES:
            assert np.allclose(weights[f"{name}.lora_A.weight"], A[name], rtol=2**-7, atol=1e-3)


def test_what_the_file_says_of_itself_is_kept(tmp_path: Path) -> None:
    notes = {"modelspec.trigger_phrase": "nova kite"}
    assert read_foreign(single(tmp_path / "a.safetensors", tensors(under("")), **notes)).trigger_word == "nova kite"
    notes = {"modelspec.trigger_phrase": "two\nlines"}
    assert read_foreign(single(tmp_path / "a.safetensors", tensors(under("")), **notes)).trigger_word == ""
    said = {
        "A/ace": "A/ace",
        "/home/me/ace/": "ace",
        "C:\\ace\\base": "base",
        "ace": "ace",
        "": None,
        "/": None,
        7: None,
    }
    for number, (name, kept) in enumerate(said.items()):
        folder = peft_folder(tmp_path / str(number), OFFICIAL, base_model_name_or_path=name)
        assert read_foreign(folder).base == kept


def changed(**changes: Array) -> dict[str, Array]:
    """The bare form with some keys replaced, by their place in the first layer."""
    names = {"q_a": "layers.0.self_attn.q_proj.lora_A.weight", "q_b": "layers.0.self_attn.q_proj.lora_B.weight"}
    return tensors(under("")) | {names[key]: array for key, array in changes.items()}


def zeros() -> dict[str, Array]:
    return {name: array * (0 if ".lora_B." in name else 1) for name, array in tensors(under("")).items()}


Q = "layers.0.self_attn.q_proj"
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a wrong name": (
        lambda at: single(at / "a.safetensors", changed() | {f"{Q}x.lora_A.weight": A[MODULES[0]]}),
        "the key 'layers.0.self_attn.q_projx.lora_A.weight' fits no module of ACE-Step",
    ),
    "another part of the model": (
        lambda at: single(at / "a.safetensors", {f"lyric_encoder.{Q}.lora_A.weight": A[MODULES[0]]}),
        "'lyric_encoder.layers.0.self_attn.q_proj.lora_A.weight' fits no module",
    ),
    "another kind": (
        lambda at: single(at / "a.safetensors", {f"lycoris_{Q.replace('.', '_')}.lokr_w1": A[MODULES[0]]}),
        "lokr_w1' is of a LoKr, and only plain LoRA",
    ),
    "half a module": (
        lambda at: single(at / "a.safetensors", {f"{Q}.lora_A.weight": A[MODULES[0]]}),
        r"layers\.0\.self_attn\.to_q has no B",
    ),
    "a module twice": (
        lambda at: single(at / "a.safetensors", tensors(under("")) | tensors(under("transformer."))),
        "are of one module",
    ),
    "no shape of LoRA": (lambda at: single(at / "a.safetensors", changed(q_a=A[MODULES[0]][:-1])), "those of no LoRA"),
    "a convolution": (lambda at: single(at / "a.safetensors", changed(q_a=A[MODULES[0]][..., None])), "no LoRA"),
    "NaN": (lambda at: single(at / "a.safetensors", changed(q_b=B[MODULES[0]] * np.float32("nan"))), "NaN"),
    "no effect": (lambda at: single(at / "a.safetensors", zeros()), "every B is zero"),
    "alpha 0": (lambda at: peft_folder(at / "a", OFFICIAL, lora_alpha=0), "every B is zero"),
    "no alpha": (lambda at: single(at / "a.safetensors", OFFICIAL), "PEFT keeps alpha in adapter_config.json"),
    "alpha for some": (
        lambda at: single(at / "a.safetensors", changed() | {f"{Q}.alpha": np.float32([ALPHA])}),
        r"some modules have an alpha, and layers\.0\.cross_attn\.to_out\.0 has none",
    ),
    "two alphas": (
        lambda at: peft_folder(at / "a", tensors(under("base_model.model."), alpha=True), lora_alpha=12),
        "its alpha keys and adapter_config.json differ in its strength",
    ),
    "DoRA": (lambda at: peft_folder(at / "a", OFFICIAL, use_dora=True), "says use_dora True"),
    "a pattern that is none": (lambda at: peft_folder(at / "a", OFFICIAL, alpha_pattern=[3]), "more than names"),
    "a pattern that takes an age": (
        lambda at: peft_folder(at / "a", OFFICIAL, rank_pattern={"(.*)*q": 4}),
        "the rank_pattern of adapter_config.json has more than names of modules in it",
    ),
    "a rank of some that is another": (
        lambda at: peft_folder(at / "a", OFFICIAL, rank_pattern={"layers.1.cross_attn.o_proj": 8}),
        r"says rank 8 of layers\.1\.cross_attn\.to_out\.0, and its weights have 4",
    ),
    "an alpha beyond all numbers": (lambda at: peft_folder(at / "a", OFFICIAL, lora_alpha=10**400), "nothing of alpha"),
    "an alpha beyond 32 bits": (lambda at: peft_folder(at / "a", OFFICIAL, lora_alpha=1e300), "NaN"),
    "PiSSA": (lambda at: peft_folder(at / "a", OFFICIAL, init_lora_weights="pissa_niter_4"), "changes the base too"),
    "another rank": (
        lambda at: peft_folder(at / "a", OFFICIAL, r=8),
        r"says rank 8 of layers\.0\.cross_attn\.to_out\.0, and its weights have 4",
    ),
    "a word as alpha": (lambda at: peft_folder(at / "a", OFFICIAL, lora_alpha="16"), "says nothing of alpha"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_plain_lora_of_ace_step_is_refused(tmp_path: Path, what: str) -> None:
    make, says = REFUSED[what]
    source = make(tmp_path)

    with pytest.raises(InputError, match=says) as caught:
        read_foreign(source)
    assert "\n" not in str(caught.value)


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("was-run"),))


def test_pickles_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.bin").write_bytes(pickle.dumps(_Runs()))
    (tmp_path / "b.safetensors").write_bytes(pickle.dumps(_Runs()))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "adapter_model.bin").write_bytes(pickle.dumps(_Runs()))

    for name, says in (
        ("a.bin", r"is no \.safetensors file; other files may run code"),
        ("b.safetensors", "no safetensors header"),
        ("folder", "has only a file that may run code when it is loaded"),
        ("none", r"name a \.safetensors file"),
    ):
        with pytest.raises(InputError, match=says):
            read_foreign(tmp_path / name)
    assert not (tmp_path / "was-run").exists()


def entry(kind: Any = "F32", shape: Any = (1, 1), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b"[]",
        b'{"a": 1}',
        {f"{Q}.lora_A.weight": entry(shape=[1 << 60, 1 << 60])},
        {f"{Q}.lora_A.weight": entry(shape=[-1, -1])},
        {f"{Q}.lora_A.weight": entry(shape=[1.0, 1.0])},
        {f"{Q}.lora_A.weight": entry(shape=[True, True])},
        {f"{Q}.lora_A.weight": entry(offsets=[-4, 0]), f"{Q}.lora_B.weight": entry()},
        {f"{Q}.lora_A.weight": entry(), f"{Q}.lora_B.weight": entry()},  # both in one place
        {f"{Q}.lora_A.weight": entry(kind=["F32"]), f"{Q}.lora_B.weight": entry(offsets=[4, 8])},
        {f"{Q}.lora_A.weight": entry(kind="I64", offsets=[0, 8])},
        {f"{Q}.lora_A.weight": entry(offsets=["0", "4"])},
        {f"{Q}.lora_A.weight": entry(offsets=[0, 1 << 80])},
        {"__metadata__": {"dawa_card": 1, "lora_adapter_metadata": "["}, f"{Q}.lora_A.weight": entry()},
        {"x" * 1_000_000: entry()},
    ],
    ids=range(15),
)
def test_a_hostile_header_is_one_short_line(tmp_path: Path, header: Any) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))

    with pytest.raises(InputError) as caught:
        read_foreign(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def outcome(path: Path) -> ForeignAdapter | str:
    try:
        return read_foreign(path)
    except InputError as error:
        return str(error)


@given(place=st.integers(0, 4000), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    content = bytearray(single(path, tensors(under(""), scale=FULL)).read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content)

    found = outcome(path)

    assert isinstance(found, ForeignAdapter) or "\n" not in found
