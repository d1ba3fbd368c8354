"""What is wrong with a value, in words for whoever sent it: no pattern, no code's name, nothing of the value."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
LORA_ID = r"^([A-Za-z0-9][A-Za-z0-9_-]{0,63}:[A-Za-z0-9][A-Za-z0-9_-]{0,63})?$"
ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
_FORMS = {
    IDENTIFIER: "is no plain name; use 1 to 64 letters, digits, - and _, a letter or digit first",
    LORA_ID: "is no LoRA's name; write PRODUCER:MODEL, each of letters, digits, - and _",
    ONE_LINE: "has control characters in it, line ends for example; leave them out",
}


def reason_of(problem: "Mapping[str, Any]") -> str:
    """Return what one of pydantic's error details says, in words."""
    kind = str(problem["type"])
    if kind == "string_pattern_mismatch":
        return _FORMS.get(problem.get("ctx", {}).get("pattern", ""), "is not written as it must be")
    if kind.startswith("uuid_"):
        return "is no uuid; it looks like 3f2a9c0b-7d41-4e8a-9c55-0d2f6b1a7e90"
    return str(problem["msg"]).removeprefix("Value error, ")
