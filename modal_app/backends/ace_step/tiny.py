"""The `tiny` base of ACE-Step: its true architecture with small random weights, built in a second without downloads.

It makes no music. It exists so that every line that trains, saves, loads and renders runs on a laptop and in CI.
"""

from typing import Any

from modal_app.backends.byte_tokenizer import byte_tokenizer

REVISION = "tiny-1"
"""Changes with anything below: adapters and latents of another revision don't fit."""

_SEED = 20_260_101
_LATENT = 4
_HIDDEN = 64
_TEXT_HIDDEN = 32
_ATTENTION = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 128}
_SILENCE_FRAMES = 15_000  # ten minutes, as in the true model


def build_tiny_pipeline() -> Any:
    """Return a whole `AceStepPipeline`; the same weights in every process."""
    import torch
    from diffusers import (
        AceStepPipeline,
        AceStepTransformer1DModel,
        AutoencoderOobleck,
        FlowMatchEulerDiscreteScheduler,
    )
    from diffusers.pipelines.ace_step import AceStepConditionEncoder
    from transformers import Qwen3Config, Qwen3Model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        vae = AutoencoderOobleck(
            encoder_hidden_size=2 * _LATENT,
            downsampling_ratios=[10, 6, 4, 4, 2],  # the true ones, the large first: most of the cost is at 48 kHz
            channel_multiples=[1, 1, 2, 2, 4],
            decoder_channels=4,
            decoder_input_channels=_LATENT,
            audio_channels=2,
            sampling_rate=48_000,
        )
        text_encoder = Qwen3Model(
            Qwen3Config(
                vocab_size=257,
                hidden_size=_TEXT_HIDDEN,
                intermediate_size=64,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=16,
            )
        )
        transformer = AceStepTransformer1DModel(
            hidden_size=_HIDDEN,
            num_hidden_layers=2,
            in_channels=3 * _LATENT,
            audio_acoustic_hidden_dim=_LATENT,
            sliding_window=128,
            **_ATTENTION,
        )
        condition_encoder = AceStepConditionEncoder(
            hidden_size=_HIDDEN,
            text_hidden_dim=_TEXT_HIDDEN,
            timbre_hidden_dim=_LATENT,
            num_lyric_encoder_hidden_layers=1,
            num_timbre_encoder_hidden_layers=1,
            **_ATTENTION,
        )
        _give_it_a_voice(vae)
    pipeline = AceStepPipeline(
        vae=vae.eval(),
        text_encoder=text_encoder.eval(),
        tokenizer=byte_tokenizer("<|endoftext|>"),
        transformer=transformer.eval(),
        condition_encoder=condition_encoder.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
    )
    _learn_silence(pipeline)
    return pipeline


def _give_it_a_voice(vae: Any) -> None:
    """Scale and shift the encoder's last layer, so that latents of music spread like the noise they are mixed with.

    Left as they come, random latents are a hundredth of the noise and there is nothing to learn in them.
    """
    last = vae.encoder.conv2
    last.weight_g.data[:_LATENT] *= 12.0
    last.bias.data.zero_()
    last.bias.data[:_LATENT] = 0.25 - _silence(vae)
    last.bias.data[_LATENT:] = -4.0  # a narrow posterior, as trained encoders have


def _learn_silence(pipeline: Any) -> None:
    """Fill the silence latent as the true model has it: encoded silence, not zeros."""
    frame = _silence(pipeline.vae).reshape(1, 1, _LATENT)
    pipeline.condition_encoder.silence_latent = frame.expand(1, _SILENCE_FRAMES, _LATENT).contiguous()


def _silence(vae: Any) -> Any:
    """Return the latent of silence far from its ends, `[_LATENT]`."""
    import torch

    with torch.no_grad():
        return vae.encode(torch.zeros(1, 2, 1920 * 32)).latent_dist.mean[0, :, 16]
