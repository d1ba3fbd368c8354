"""The tagger that the settings name: by what its rows are keyed, what it is asked with, and the words it is told."""

from dawa_assets.prompting.phrase_matching import Phrase, is_forbidden, no_go_phrases, phrase_of
from dawa_assets.prompting.profile_facts import ProfileFacts
from dawa_assets.prompting.style import style_facts
from modal_app.protocol.tagging import HostedModel
from modal_app.tagging.tag_key import TaggerName, tagger_name
from resources.settings import Settings

_FACTS = (
    *("genres", "secondary_genres", "energy", "melody", "sound_design"),
    *("kick", "snare", "percussion", "bass"),
)
_MAX_PER_FACT, _MAX_WORDS, _MAX_WORD_LENGTH = 6, 40, 60


def tagger_of(settings: Settings) -> TaggerName:
    """By what the rows of the settings' tagger are keyed."""
    return tagger_name(settings.tagger, settings.gemini_model, any_model=settings.takes_any_gemini_model)


def hosted_model(
    settings: Settings, *, budget_usd: float | None = None, calls: int | None = None
) -> HostedModel | None:
    """Return what the settings' tagger asks, with the settings' caps or lower ones; None where it asks nobody."""
    if settings.tagger == "offline":
        return None
    price = [float(part) for part in settings.gemini_price.split("/")] if settings.gemini_price else [None, None]
    return HostedModel(
        name=settings.gemini_model,
        base_url=settings.gemini_base_url,
        input_usd=price[0],
        output_usd=price[1],
        budget_usd=settings.tag_budget_usd if budget_usd is None else budget_usd,
        calls=settings.calls_per_run if calls is None else calls,
        at_once=settings.calls_at_once,
        timeout_seconds=settings.call_timeout_seconds,
    )


def style_vocabulary(profile: ProfileFacts, artist_name: str) -> list[str]:
    """The artist's own words for their style, for a tagger to prefer: short phrases, without names and no-go zones."""
    names: list[Phrase] = [phrase for name in profile.names(artist_name) if (phrase := phrase_of(name))]
    forbidden = [*no_go_phrases(profile.no_go_zones), *names]
    facts = style_facts(profile, (), forbidden, _MAX_PER_FACT, 4 * _MAX_WORD_LENGTH)
    words = [word for name in _FACTS for word in facts.lists.get(name, [])]
    words += [each.mood for each in facts.moods]
    short = [word for word in words if len(word) <= _MAX_WORD_LENGTH and not is_forbidden(word, forbidden)]
    return list(dict.fromkeys(short))[:_MAX_WORDS]
