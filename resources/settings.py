"""All settings of the project, typed, from the environment and `.env`. Nothing else reads the environment.

A service is chosen by its own setting only: a key that lies around in the shell never switches one on.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from modal_app.protocol.training import AdapterKind, AskedTraining, Targets
from modal_app.value_errors import IDENTIFIER, reason_of
from resources.errors import SettingsError
from resources.rights_settings import Rights
from resources.setting_values import (
    OptionalPath,
    Price,
    known_address,
    known_backend,
    known_networks,
    known_origins,
    known_zone,
    listed,
)

_UNPREFIXED = (
    *("OPENAI_API_KEY", "GEMINI_API_KEY", "SUPABASE_DB_URL", "SUPABASE_URL", "SUPABASE_SECRET_KEY"),
    *("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_JWT_SECRET", "NAWFSIDE_APP_PASSWORD", "DAGSTER_HOME"),
)

_CHECKOUT = Path(__file__).resolve().parent.parent


def _default_home() -> Path:
    """State lives beside the code in a checkout (so `make clean` knows it), in the home folder otherwise."""
    return _CHECKOUT / ".dawa" if (_CHECKOUT / "pyproject.toml").is_file() else Path.home() / ".dawa"


class Places(BaseModel):
    """Where things lie."""

    home: Path = Field(default_factory=_default_home, description="everything that this machine keeps")
    data: Path | None = Field(None, description="the worker's data root; default: `data` under the home")
    dagster_home: OptionalPath = Field(
        None,
        validation_alias="DAGSTER_HOME",
        description="the Dagster instance that commands run on; default: `dagster` under the home",
    )

    @cached_property
    def data_root(self) -> Path:
        """The worker's data root (`/data` in a container): a cache that may be deleted."""
        return (self.data or self.home / "data").resolve()

    @cached_property
    def dagster_folder(self) -> Path:
        """Where the Dagster instance keeps its configuration, and on one machine its history."""
        return (self.dagster_home or self.home / "dagster").expanduser().resolve()


class Services(BaseModel):
    """Whom to talk to."""

    database: Literal["embedded", "supabase"] = Field("embedded", description="where the tables live")
    bucket: Literal["folder", "supabase"] = Field("folder", description="where the files live")
    prompt_writer: Literal["offline", "openai"] = Field("offline", description="who writes prompts")
    compute: Literal["local", "modal"] = Field("local", description="who prepares, tags, trains and generates")
    tagger: Literal["offline", "gemini"] = Field("offline", description="who tags segments")


class SupabaseProject(BaseModel):
    """A Supabase project."""

    supabase_db_url: SecretStr | None = Field(
        None, validation_alias="SUPABASE_DB_URL", description="the project's connection string, of any of its three"
    )
    supabase_url: str | None = Field(None, validation_alias="SUPABASE_URL", description="the project's address")
    supabase_secret_key: SecretStr | None = Field(
        None, validation_alias="SUPABASE_SECRET_KEY", description="the project's secret key"
    )
    supabase_publishable_key: str | None = Field(
        None,
        validation_alias="SUPABASE_PUBLISHABLE_KEY",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="the project's public key, by which the page of Train Mode lets users sign in",
    )
    supabase_jwt_secret: SecretStr | None = Field(
        None,
        validation_alias="SUPABASE_JWT_SECRET",
        description="the project's legacy secret for users' tokens; without it, the public keys under SUPABASE_URL",
    )
    jwks_seconds: float = Field(
        60.0,
        ge=1,
        le=600,
        description="after how many seconds the project's public keys are asked for anew",
    )


class ModalAccount(BaseModel):
    """A Modal account."""

    modal_app: str = Field("nawfside-music", min_length=1, description="the deployed Modal app that is asked")
    modal_environment: str | None = Field(None, description="its Modal environment; default: the account's own")
    modal_gpu: str = Field("H100", min_length=1, max_length=60, description="the GPU that the app was deployed with")
    modal_gpu_usd_per_hour: float = Field(
        3.95, ge=0, description="what an hour of the app's GPU costs, for the figures of a run"
    )
    approve_above_usd: float | None = Field(
        None, ge=0, description="a training on Modal that is expected to cost more waits until a person approves it"
    )


class Serving(BaseModel):
    """`dawa serve`."""

    app_password: SecretStr | None = Field(
        None, validation_alias="NAWFSIDE_APP_PASSWORD", description="the password of `dawa serve`'s clients"
    )
    web_wait_seconds: float = Field(
        100.0, ge=0, le=140, description="how long an HTTP request waits for its job before it answers 202"
    )
    web_origins: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(listed), AfterValidator(known_origins)] = (
        Field(None, description="other sites whose pages may call `dawa serve` from a browser (CORS)")
    )
    web_proxies: Annotated[
        tuple[str, ...] | None, NoDecode, BeforeValidator(listed), AfterValidator(known_networks)
    ] = Field(None, description="addresses of proxies before `dawa serve` whose X-Forwarded headers are believed")
    serve_url: Annotated[str, AfterValidator(known_address)] | None = Field(
        None,
        description="where a browser reaches `dawa serve`, for links to datasets, and to files on the assets' pages",
    )


class HostedModels(BaseModel):
    """Hosted models."""

    openai_api_key: SecretStr | None = Field(None, validation_alias="OPENAI_API_KEY", description="OpenAI's key")
    gemini_api_key: SecretStr | None = Field(None, validation_alias="GEMINI_API_KEY", description="Google's key")
    openai_model: str = Field("gpt-6-luna", min_length=1, description="the model that writes prompts")
    openai_base_url: str | None = Field(None, description="a gateway to ask instead of OpenAI itself")
    openai_price: Price | None = Field(
        None, description="input/output US dollars per million tokens, for a model that this project knows no price of"
    )
    gemini_model: str = Field("gemini-3.5-flash-lite", min_length=1, description="the model that tags segments")
    gemini_base_url: str | None = Field(None, description="a gateway to ask instead of Google itself")
    gemini_price: Price | None = Field(
        None, description="input/output US dollars per million tokens, for a model that this project knows no price of"
    )
    prompt_budget_usd: float = Field(5.0, ge=0, description="US dollars that one run may spend on an artist's prompts")
    tag_budget_usd: float = Field(5.0, ge=0, description="US dollars that one run may spend on an artist's tags")
    monthly_budget_usd: float | None = Field(
        None, ge=0, description="US dollars that all runs together may spend in a calendar month (UTC)"
    )
    calls_per_run: int = Field(20_000, ge=0, description="how many paid calls one run may make")
    calls_at_once: int = Field(16, ge=1, le=256, description="how many paid calls are in flight at once")
    call_timeout_seconds: float = Field(45.0, gt=0, le=600, description="how long one paid call may take")


class Training(BaseModel):
    """Prompts and training."""

    system_prompt_version: str = Field("train-v1", description="which system prompt prompts are written by")
    backend: Annotated[str, AfterValidator(known_backend)] = Field(
        "ace_step", description="which music generator is fine-tuned"
    )
    base: str = Field("tiny", description="the base model: `tiny`, a model id of the Hugging Face hub, or a folder")
    licence_accepted: str | None = Field(
        None, description="the licence that was agreed to, for a base that forbids commercial use: `CC-BY-NC-4.0`"
    )
    model_name: str = Field(
        "nawfside_lora",
        pattern=IDENTIFIER,
        description="the name of an artist's LoRA",
    )
    recipe: str = Field(
        "auto",
        max_length=60,
        description="the hyper-parameters: `auto` (by base and amount of music), or a recipe's name",
    )
    train_steps: int | None = Field(
        None, ge=1, le=100_000, description="optimiser steps of a training; default: the recipe's"
    )
    train_batch: int | None = Field(None, ge=1, le=256, description="crops (or segments) a step; default: the recipe's")
    train_clip_seconds: float | None = Field(
        None,
        ge=0,
        description="seconds of the random crops of whole tracks that are trained on, 0 for segments of 15 s as they "
        "are; default: the recipe's",
    )
    lora_rank: int | None = Field(
        None, ge=1, le=256, description="rank of the LoRA; default: the recipe's, and alpha in proportion"
    )
    adapter_kind: AdapterKind = Field(
        "lora", description="how an adapter changes a layer: `lora`, `rslora`, or `dora`, which takes a third longer"
    )
    lora_targets: Targets | None = Field(
        None, description="which layers it changes: `attention`, or `attention+mlp`; default: the recipe's"
    )
    learning_rate: float | None = Field(None, gt=0, lt=1, description="peak learning rate; default: the recipe's")
    train_accumulation: int | None = Field(None, ge=1, le=1024, description="batches a step; default: one")
    train_warmup_steps: int | None = Field(
        None, ge=0, description="steps until the learning rate is at its peak; default: a twentieth, at most 100"
    )
    train_weight_decay: float = Field(0.01, ge=0, lt=1, description="AdamW's weight decay")
    train_caption_dropout: float | None = Field(
        None, ge=0, lt=1, description="share of samples that are trained without text; default: the generator's own"
    )
    train_part_dropout: float = Field(0.15, ge=0, lt=1, description="share of samples without a certain caption part")
    train_validation_share: float = Field(
        0.1, ge=0, le=0.5, description="share of the segments that is held out, by song; 0 holds out nothing"
    )
    train_validate_every: int | None = Field(
        None, ge=1, description="steps between two validations; default: a tenth of all, at least 10"
    )
    train_patience: int = Field(
        5, ge=0, description="validations without a better one before a training ends; 0 never ends it early"
    )
    train_milestones: int | None = Field(
        None,
        ge=0,
        le=12,
        description="adapters kept along a training beside the best, to choose among; default: the recipe's, 2 to 8",
    )
    train_checkpoint_gradients: bool = Field(False, description="compute activations twice, for less memory")
    trigger_word: str | None = Field(None, max_length=60, description="a word that every caption begins with")
    seed: int = Field(0, ge=0, lt=2**31, description="seed of training and previews")
    copy_renderings: int | None = Field(
        None,
        ge=0,
        le=32,
        description="how many captions that an adapter was trained with are rendered, to see whether it plays what it "
        "was trained on; default: 20, and with the base `tiny` nobody looks",
    )
    evaluated_songs: int = Field(
        8, ge=1, le=24, description="how many held-out songs' prompts each candidate renders when it is judged"
    )
    preview_seconds: float | None = Field(
        None,
        gt=0,
        le=60,
        description="length of what is rendered to judge and to preview an adapter, in seconds; default: 1 and 4 "
        "with the base `tiny`, 15 and 30 with a real one",
    )

    @property
    def copies_looked_for(self) -> int | None:
        """How many renderings of training captions are held against what was trained on; None: none, nor any other."""
        if self.copy_renderings is None:
            return None if self.base == "tiny" else 20
        return self.copy_renderings

    @property
    def rendered_seconds(self) -> float:
        """How long renderings are that judge and preview an adapter."""
        return self.preview_seconds or (4.0 if self.base == "tiny" else 30.0)

    @property
    def evaluated_seconds(self) -> float:
        """How long each of the renderings is that candidates are judged by."""
        return self.preview_seconds or (1.0 if self.base == "tiny" else 15.0)

    @property
    def asked_training(self) -> AskedTraining:
        """The hyper-parameters as they are asked for; with base and music known, `plan_training` makes them whole."""
        return AskedTraining(
            recipe=self.recipe,
            steps=self.train_steps,
            batch_size=self.train_batch,
            clip_seconds=self.train_clip_seconds,
            learning_rate=self.learning_rate,
            rank=self.lora_rank,
            targets=self.lora_targets,
            seed=self.seed,
            adapter_kind=self.adapter_kind,
            accumulation=self.train_accumulation,
            warmup_steps=self.train_warmup_steps,
            weight_decay=self.train_weight_decay,
            caption_dropout=self.train_caption_dropout,
            part_dropout=self.train_part_dropout,
            validation_share=self.train_validation_share,
            validate_every=self.train_validate_every,
            patience=self.train_patience,
            milestones=self.train_milestones,
            checkpoint_gradients=self.train_checkpoint_gradients,
            licence_accepted=self.licence_accepted or "",
        )


class Automation(BaseModel):
    """When."""

    lease_seconds: float = Field(60.0, gt=0.5, description="after how long a silent holder's lease runs out")
    lease_wait_seconds: float = Field(900.0, ge=0, description="how long a build waits for another of the same artist")
    follow_uploads: Literal["lora", "items"] = Field(
        "lora",
        description="how far an upload is followed at once: to the LoRA (free on this machine), or to training "
        "items only, and the nightly rebuild does the rest",
    )
    quiet_seconds: float = Field(
        60.0, ge=0, description="how long a drop without `_complete` must have been quiet to count"
    )
    nightly_cron: str = Field("0 3 * * *", description="when datasets are rebuilt")
    timezone: Annotated[str, AfterValidator(known_zone)] = Field("UTC", description="the zone of that time")
    retrain: bool = Field(False, description="whether a dataset that changed enough is trained on without being asked")
    retrain_after_share: float = Field(
        0.2, gt=0, le=1, description="how much of a dataset must be new since the last training"
    )
    verify_weekly_gb: float = Field(
        20.0, ge=0, description="how many GB of files are read each week to compare their bytes; 0: none"
    )
    history_days: int = Field(
        90, ge=15, le=36_500, description="after how many days Dagster's records of runs go that no page shows"
    )
    alert_webhook_url: SecretStr | None = Field(
        None, description="where failures are told (Slack's or a compatible incoming webhook)"
    )
    ui_url: Annotated[str, AfterValidator(known_address)] | None = Field(
        None, description="where a browser reaches the Dagster UI, for links in what is told"
    )


GROUPS: tuple[type[BaseModel], ...] = (
    Places,
    Services,
    SupabaseProject,
    ModalAccount,
    Serving,
    HostedModels,
    Training,
    Rights,
    Automation,
)
"""The groups of settings, in the order of `.env.example`."""


class Settings(
    Places, Services, SupabaseProject, ModalAccount, Serving, HostedModels, Training, Rights, Automation, BaseSettings
):
    """What can be set, by `DAWA_<NAME>` in the environment or in `.env`."""

    model_config = SettingsConfigDict(
        env_prefix="DAWA_", env_file=(_CHECKOUT / ".env", ".env"), extra="ignore", frozen=True, populate_by_name=True
    )

    @property
    def takes_any_openai_model(self) -> bool:
        """Whether nobody chose the model that writes prompts: what an earlier default wrote is as good then."""
        return self.prompt_writer == "openai" and "openai_model" not in self.model_fields_set

    @property
    def takes_any_gemini_model(self) -> bool:
        """Whether nobody chose the model that tags segments: what an earlier default said is as good then."""
        return self.tagger == "gemini" and "gemini_model" not in self.model_fields_set

    @classmethod
    def load(cls, **overrides: str | float) -> Self:
        """Return the settings of this process; `overrides` go before the environment.

        Raises:
            SettingsError: a value can't be used; the message names the variable, never its value.
        """
        try:
            return cls(**overrides)  # type: ignore[arg-type]
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            name = "_".join(str(part) for part in problem["loc"]).upper()
            name = name if name in _UNPREFIXED else f"DAWA_{name}"
            raise SettingsError(f"{name}: {reason_of(problem)}; mend it in the environment or in .env") from None
