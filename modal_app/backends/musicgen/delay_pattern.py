"""MusicGen's delay pattern: codebook k is said k frames later, so that it can hear what the ones before it chose."""

from modal_app.backends.base import Tensor


def delays_of(codebooks: int, channels: int) -> list[int]:
    """Return how many frames later each codebook is said.

    The channels of a stereo model lie beside each other: L R L R.
    """
    return [codebook // channels for codebook in range(codebooks)]


def delayed(codes: Tensor, delays: list[int], pad: int) -> Tensor:
    """Codes `[frames, codebooks]` as the model says them, `[frames + largest delay, codebooks]`, `pad` elsewhere."""
    spread = codes.new_full((len(codes) + max(delays), len(delays)), pad)
    for codebook, delay in enumerate(delays):
        spread[delay : delay + len(codes), codebook] = codes[:, codebook]
    return spread


def undelayed(spread: Tensor, delays: list[int]) -> Tensor:
    """Return the codes `[frames, codebooks]` that `delayed` spread."""
    import torch

    frames = len(spread) - max(delays)
    return torch.stack([spread[delay : delay + frames, codebook] for codebook, delay in enumerate(delays)], dim=1)
