"""The settings of rights: what needs a permission, and what marks are made on what is generated. Part of `Settings`."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from resources.setting_values import OptionalPath, listed


class Rights(BaseModel):
    """Rights."""

    permissions: Literal["off", "warn", "required"] = Field(
        "warn",
        description="what is done with music that nobody permitted to train on, to publish or to generate with: "
        "nothing, a line in `dawa doctor`, or nothing is made with it",
    )
    uncleared_samples: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(listed)] = Field(
        None,
        description="samples that nobody cleared, as patterns of their names or whole paths: with required permissions "
        "songs that use one are left out, else they are named",
    )
    marks: Literal["on", "off"] = Field(
        "on", description="whether what is generated is marked as such, and put on record for `dawa trace`"
    )
    marks_certificate: OptionalPath = Field(
        None, description="the certificates that marks are signed with (PEM, yours first); default: a self-made"
    )
    marks_key: OptionalPath = Field(None, description="the file with that certificate's key (P-256, PEM)")
