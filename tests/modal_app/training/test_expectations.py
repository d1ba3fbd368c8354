"""What a training is expected to take: the nearest measured figure goes first, and nothing is made up."""

import dataclasses

import pytest

from modal_app.config import BackendKind
from modal_app.protocol.training import AskedTraining
from modal_app.training.expectations import PUBLISHED, Measured, duration_text, expect
from modal_app.training.recipes import Plan, plan_training

BASE = "ACE-Step/acestep-v15-xl-base-diffusers"


def plan(**asked: object) -> Plan:
    return plan_training(AskedTraining(**asked), BackendKind.ACE_STEP, BASE, 3600.0, 15.0)  # type: ignore[arg-type]


def measured(device: str = "NVIDIA H100 80GB HBM3", pace: float = 1000.0, **changes: object) -> Measured:
    own = Measured("ace-step-xl", device, "attention+mlp", "lora", pace, 31.0, "as measured on 2026-11-01")
    return dataclasses.replace(own, **changes)  # type: ignore[arg-type]


def test_what_was_measured_on_this_base_and_device_goes_first() -> None:
    found = expect(plan(validation_share=0.0), "ace-step-xl", "H100", [measured()])

    assert found.basis == "as measured on 2026-11-01"
    assert found.peak_gib == 31.0
    assert found.seconds == pytest.approx(85_080 / 1000 + 60 + 3600 * 1.83 / 15 / (0.15 * 989), rel=1e-6)
    assert found.line == "about 149 s and 31.0 GiB on H100, as measured on 2026-11-01".replace("149 s", "2 min")
    twice = expect(plan(validation_share=0.0), "ace-step-xl", "H100", [measured(pace=2000.0)])
    assert twice.seconds is not None
    assert found.seconds - twice.seconds == pytest.approx(85_080 / 2000)


def test_another_devices_figures_are_not_taken() -> None:
    ours = [measured("NVIDIA A100-SXM4-80GB"), measured("cpu", 1.0)]
    assert expect(plan(), "ace-step-xl", "H100", ours) == expect(plan(), "ace-step-xl", "H100", [])
    assert expect(plan(), "ace-step-xl", "H100", []).basis == "by what such a model computes"
    assert (
        expect(plan(), "ace-step-xl", "this machine", []).line == "how long it takes on this machine is not known yet"
    )


def test_other_layers_and_kinds_are_converted_and_reported() -> None:
    of_attention = measured(targets="attention", pace=1300.0)
    found = expect(plan(), "ace-step-xl", "H100", [of_attention])
    assert found.basis == "as measured on 2026-11-01 with LoRA on attention"
    assert found.seconds == pytest.approx(expect(plan(), "ace-step-xl", "H100", [measured()]).seconds or 0)
    both = expect(plan(), "ace-step-xl", "H100", [of_attention, measured(pace=500.0)])
    assert both.basis == "as measured on 2026-11-01"  # the same layers and kind go before what is later
    dora = expect(plan(adapter_kind="dora"), "ace-step-xl", "H100", [measured()])
    assert (dora.seconds or 0) > 1.2 * (expect(plan(), "ace-step-xl", "H100", [measured()]).seconds or 0)


def test_a_published_figure_goes_before_a_computed_one() -> None:
    (published,) = PUBLISHED
    found = expect(plan(targets="attention", validation_share=0.0), "ace-step-xl", "NVIDIA GeForce RTX 5090", [])
    assert (found.basis, found.peak_gib) == (published.source, 23.0)
    assert found.seconds == pytest.approx(85_080 * 0.147 / 30 + 60 + 3600 * 1.83 / 15 / (0.15 * 209), rel=1e-6)


def test_tiny_is_told_by_its_own_measure_alone() -> None:
    tiny = plan_training(AskedTraining(validation_share=0.0), BackendKind.ACE_STEP, "tiny", 60.0, 15.0)
    assert expect(tiny, "tiny", "this machine", []).seconds is None
    own = Measured("tiny", "cpu", "attention", "lora", 900.0, 0.5, "as measured on 2026-11-01")
    assert expect(tiny, "tiny", "cpu", [own]).seconds == pytest.approx(60 * 2 * 15 / 900)


def test_times_are_said_as_people_say_them() -> None:
    assert [duration_text(seconds) for seconds in (0.4, 89, 90, 5_399, 5_400, 36_000)] == [
        *("0 s", "89 s", "2 min", "90 min", "1.5 h", "10.0 h"),
    ]
