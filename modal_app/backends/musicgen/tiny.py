"""The `tiny` base of MusicGen: its true architecture with small random weights, built in a second without downloads.

It makes no music. It exists so that every line that trains, saves, loads and renders runs on a laptop and in CI. Rates
and patterns are the true ones: 32 kHz, 50 frames a second, 4 codebooks. They have 256 codes, not 2048, whose logits
would be most of the work.
"""

import math
from typing import Any

from modal_app.backends.byte_tokenizer import byte_tokenizer

REVISION = "tiny-1"
"""Changes with anything below: adapters and codes of another revision don't fit."""

_SEED = 20_260_101
_CODES, _CODEBOOKS, _FRAMES_A_SECOND = 256, 4, 50
_INITIAL = 0.2  # with the usual 0.02 no state of the decoder makes a code likely, and it hears where it is, not what
_HIDDEN = 64
_TEXT_HIDDEN = 32
_CODEC_HIDDEN = 8
_SAMPLE_RATE = 32_000
_FITTING_SECONDS = 4
_MELODY_FRAMES = 20  # the true ones have 235: they would be half of the work


def build_tiny(*, channels: int = 1, is_melody: bool = False) -> tuple[Any, Any]:
    """Return a whole model and its tokenizer; the same weights in every process.

    The base `tiny` is mono and no melody. The other forms are for whoever tries out what is for those: as in the true
    ones, a stereo decoder has codebooks for each side, and melody's takes a melody before the text.
    """
    import torch
    from transformers import (
        EncodecConfig,
        MusicgenConfig,
        MusicgenDecoderConfig,
        MusicgenForConditionalGeneration,
        MusicgenMelodyConfig,
        MusicgenMelodyDecoderConfig,
        MusicgenMelodyForConditionalGeneration,
        T5Config,
    )

    tokenizer = byte_tokenizer("</s>")
    decoder_type = MusicgenMelodyDecoderConfig if is_melody else MusicgenDecoderConfig
    config_type = MusicgenMelodyConfig if is_melody else MusicgenConfig
    model_type = MusicgenMelodyForConditionalGeneration if is_melody else MusicgenForConditionalGeneration
    melody = {"chroma_length": _MELODY_FRAMES} if is_melody else {}
    config = config_type(
        text_encoder=T5Config(
            vocab_size=len(tokenizer),
            d_model=_TEXT_HIDDEN,
            d_kv=16,
            d_ff=64,
            num_layers=1,
            num_heads=2,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        ),
        audio_encoder=EncodecConfig(
            sampling_rate=_SAMPLE_RATE,
            target_bandwidths=[_CODEBOOKS * _FRAMES_A_SECOND * math.log2(_CODES) / 1000],
            hidden_size=_CODEC_HIDDEN,
            num_filters=2,
            upsampling_ratios=[8, 5, 4, 4],
            codebook_size=_CODES,
            use_causal_conv=False,
        ),
        decoder=decoder_type(
            vocab_size=_CODES,
            num_codebooks=channels * _CODEBOOKS,
            audio_channels=channels,
            pad_token_id=_CODES,
            bos_token_id=_CODES,
            hidden_size=_HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=4,
            ffn_dim=128,
            initializer_factor=_INITIAL,
            dropout=0.0,  # drawn for a whole batch, so a sample would depend on those beside it
        ),
        initializer_factor=_INITIAL,
        **melody,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = model_type(config).eval()
        _give_it_ears(model.audio_encoder)
        _give_it_a_voice(model.audio_encoder)
    return model, tokenizer


def _give_it_ears(codec: Any) -> None:
    """Fit the codebooks to sounds: as they come they are all zeros, and every sound has the same codes.

    The encoder's last layer is scaled first, so that latents of different sounds differ by about one.
    """
    import torch

    with torch.no_grad():
        last = codec.encoder.layers[-1].conv
        latents = codec.encoder(_sounds())
        last.parametrizations.weight.original0 /= latents.std()
        last.bias.zero_()
        residual = codec.encoder(_sounds())[0].T
        for layer in codec.quantizer.layers:
            centre, spread = residual.mean(0), residual.std(0)
            layer.codebook.embed.copy_(centre + spread * torch.randn(_CODES, _CODEC_HIDDEN))
            codes = layer.codebook.encode(residual)
            residual = residual - layer.codebook.decode(codes)


def _give_it_a_voice(codec: Any) -> None:
    """Take the constant part out of what is decoded: it is louder than all that the codes make of it."""
    for name, weight in codec.decoder.named_parameters():
        if "bias" in name:
            weight.data.zero_()


def _sounds() -> Any:
    """Noise that swells and dies away twice a second over a tone that rises, `[1, 1, samples]`."""
    import torch

    time = torch.arange(_FITTING_SECONDS * _SAMPLE_RATE) / _SAMPLE_RATE
    tone = torch.sin(2 * torch.pi * (60 + 100 * time) * time)
    noise = torch.rand(time.shape, generator=torch.Generator().manual_seed(_SEED)) * 2 - 1
    swell = 0.5 - 0.5 * torch.cos(4 * torch.pi * time)
    return (0.5 * tone + 0.4 * swell * noise)[None, None]
