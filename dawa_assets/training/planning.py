"""What a training will be and take, before it begins: its plan, device, seconds and memory, and on Modal its cost."""

from dataclasses import dataclass

from dawa_assets.pipeline.step import artist_step
from dawa_assets.segments.prepared_dataset import PreparedDataset, cut_as, prepare_dataset, texts_of
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.training_paces import TrainingPace, latest_paces
from dawa_assets.training.examples import Examples, make_examples, plan_for
from dawa_assets.training.gpu_usage import cost_usd
from modal_app.audio.recipe import recipe_for
from modal_app.config import BackendKind
from modal_app.errors import InputError
from modal_app.training.expectations import GIB, Expectation, Measured, expect
from modal_app.training.recipes import Kind, Plan, kind_of
from resources.ports import Ports
from resources.settings import Settings

_THIS_MACHINE = "this machine"


@dataclass(frozen=True)
class PlannedTraining:
    """A plan, what it is expected to take, and what that costs in US dollars; None: nothing, or nobody knows."""

    plan: Plan
    expected: Expectation
    usd: float | None

    @property
    def line(self) -> str:
        """The plan with what it is expected to take."""
        cost = "" if self.usd is None else f", {self.usd:.2f} USD"
        return f"{self.plan.line}; {self.expected.line}{cost}"

    def why_it_waits(self, settings: Settings) -> str | None:
        """Return why a person is asked before this is trained; None where nobody is."""
        limit = settings.approve_above_usd
        if limit is None or settings.compute != "modal":
            return None
        if self.usd is None:
            return f"nobody knows yet what it costs on {self.expected.device}"
        return f"{self.usd:.2f} USD expected, more than {limit:g}" if self.usd > limit else None


def examples_of(ports: Ports, artist: Artist, prepared: PreparedDataset) -> Examples:
    """Return what a dataset is trained on now, as the generator of the settings hears it."""
    heard = cut_as(ports, artist, prepared, recipe_for(BackendKind(ports.settings.backend)))
    return make_examples(prepared, texts_of(ports, prepared), heard, trigger_word=ports.settings.trigger_word)


def plan_training_of(ports: Ports, slug: str) -> PlannedTraining:
    """Return what a training on an artist's current dataset would be now; nothing is trained.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        InputError: there is nothing to train on.
        BusyError: another process trains this artist's LoRA and did not end in time.
    """
    with artist_step(ports, slug, "training") as step:
        prepared = prepare_dataset(ports, step.artist, step.held)
        examples = None if prepared is None else examples_of(ports, step.artist, prepared)
        if examples is None or not examples.examples:
            raise InputError(f"{slug}: there is nothing to train on yet; `dawa build --artist {slug}` makes a dataset")
        return planned(ports, examples)


def planned(ports: Ports, examples: Examples) -> PlannedTraining:
    """Return what a training of these examples will be, with what is known of the trainings before.

    Raises:
        InputError: the settings name no recipe.
    """
    settings = ports.settings
    plan = plan_for(settings, examples)
    kind, _ = kind_of(BackendKind(settings.backend), settings.base)
    on_modal = settings.compute == "modal"
    with ports.database.transaction() as connection:
        paces = latest_paces(connection, settings.backend, settings.base, on_modal=on_modal)
    device = settings.modal_gpu if on_modal else (paces[0].device if paces else _THIS_MACHINE)
    expected = expect(plan, kind, device, [_measured(kind, pace) for pace in paces])
    usd = cost_usd(settings, expected.seconds) if on_modal and expected.seconds is not None else None
    return PlannedTraining(plan, expected, usd)


def _measured(kind: Kind, pace: TrainingPace) -> Measured:
    return Measured(
        kind=kind,
        device=pace.device,
        targets="attention" if pace.targets == "attention" else "attention+mlp",
        adapter_kind=pace.adapter_kind,
        pace=pace.pace,
        peak_gib=None if pace.peak_bytes is None else pace.peak_bytes / GIB,
        source=f"as measured on {pace.finished_at:%Y-%m-%d}",
    )
