"""Drawing codes from MusicGen's decoder, for as long as asked.

transformers' own `generate` draws from the process's random numbers and ends at thirty seconds, which is what the model
was trained on. Here a longer piece is made in windows, each hearing the end of the one before.
"""

from dataclasses import dataclass
from typing import Any

from modal_app.backends.base import Tensor
from modal_app.backends.musicgen.delay_pattern import delayed, delays_of, undelayed

_UNKNOWN = -1


@dataclass(frozen=True)
class Sampling:
    """How codes are drawn; the defaults are those of MusicGen's authors."""

    guidance: float = 3.0
    most_likely: int = 250  # codes that may be drawn at all
    window: int = 1500  # frames: thirty seconds
    heard: int = 600  # frames of the window before


@dataclass(frozen=True)
class Condition:
    """What the decoder hears beside the codes: `[batch, tokens, hidden]`, and which tokens are no padding (None: all).

    With `is_prefix` it stands before the codes, and is kept in the cache with them.
    """

    states: Tensor
    mask: Tensor | None
    is_prefix: bool = False


def draw_codes(decoder: Any, condition: Condition, frames: int, seed: int, sampling: Sampling) -> tuple[Tensor, bool]:
    """Codes `[frames, codebooks]`, and whether all that they were drawn from were numbers.

    `condition` has two rows: the text, and no text.
    """
    import torch

    device = condition.states.device
    generator = torch.Generator(device).manual_seed(seed)
    codes = torch.empty((0, decoder.config.num_codebooks), dtype=torch.long, device=device)
    sane = torch.ones((), dtype=torch.bool, device=device)
    while len(codes) < frames:
        heard = codes[-sampling.heard :]
        count = min(frames - len(codes), sampling.window - len(heard))
        window, numbers = _draw_window(decoder, condition, heard, count, generator, sampling)
        codes = torch.cat([codes, window])
        sane &= numbers
    return codes, bool(sane)


def _draw_window(
    decoder: Any, condition: Condition, heard: Tensor, count: int, generator: Any, sampling: Sampling
) -> tuple[Tensor, Tensor]:
    """Return the `count` frames that follow those `heard`; nothing is read back from the device until the end."""
    import torch

    config = decoder.config
    delays = delays_of(config.num_codebooks, config.audio_channels)
    unknown = heard.new_full((count, config.num_codebooks), _UNKNOWN)
    start = heard.new_full((1, config.num_codebooks), config.bos_token_id)
    codes = torch.cat([start, delayed(torch.cat([heard, unknown]), delays, config.pad_token_id)])
    sane = torch.ones((), dtype=torch.bool, device=heard.device)
    cache, fed = None, 0
    for place in range(1 + len(heard), len(codes)):
        hears = cache is None or not condition.is_prefix
        answer = decoder(
            input_ids=codes[fed:place].T.expand(2, -1, -1),
            encoder_hidden_states=condition.states if hears else None,
            encoder_attention_mask=condition.mask if hears else None,
            past_key_values=cache,
            use_cache=True,
        )
        cache, fed = answer.past_key_values, place
        with_text, without = answer.logits.float().reshape(2, config.num_codebooks, -1, config.vocab_size)[:, :, -1]
        logits = without + sampling.guidance * (with_text - without)
        sane &= logits.isfinite().all()
        codes[place] = torch.where(codes[place] == _UNKNOWN, _draw(logits, generator, sampling), codes[place])
    return undelayed(codes[1:], delays)[len(heard) :], sane


def _draw(logits: Tensor, generator: Any, sampling: Sampling) -> Tensor:
    """Return one code a codebook, by its probability among the most likely: the largest of logit plus Gumbel noise."""
    import torch

    likely, codes = logits.topk(min(sampling.most_likely, logits.shape[-1]))
    waiting = torch.empty_like(likely).exponential_(generator=generator)
    return codes.gather(1, (likely - waiting.log()).argmax(1, keepdim=True))[:, 0]
