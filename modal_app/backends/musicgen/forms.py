"""The two forms of MusicGen's decoder: how a text gets to it, in training and in drawing codes.

MusicGen's layers look at the text's states (cross-attention). Melody's have only one attention: a melody's chroma and
the text's states stand before the codes. Nobody hums here, so that the melody is always the one that says "none".
"""

from collections.abc import Sequence
from typing import Any, Protocol

from modal_app.backends.base import Tensor
from modal_app.backends.musicgen.sampling import Condition

MELODY = "musicgen_melody"
"""The type of melody's models in their configuration."""


class DecoderForm(Protocol):
    """How texts, as states `[tokens, hidden]` or None, get to the decoder."""

    def condition(self, texts: Sequence[Tensor | None]) -> Condition:
        """Return the texts as codes are drawn from them; no text is zeros."""

    def logits(self, codes: Tensor, texts: Sequence[Tensor | None]) -> Tensor:
        """Return what is said next after each of `codes`, `[batch, frames, codebooks]`, each with its text.

        Logits `[batch, codebooks, frames, codes]`; those of a sample do not depend on the samples beside it.
        """


def form_of(model: Any) -> DecoderForm:
    """Return the form of a model's decoder, by its configuration."""
    return Prefixed(model) if model.config.model_type == MELODY else CrossAttended(model)


class CrossAttended:
    """MusicGen: every layer looks at the text."""

    def __init__(self, model: Any) -> None:
        self._decoder = model.decoder

    def condition(self, texts: Sequence[Tensor | None]) -> Condition:
        """Return the texts, padded to the longest. No text is a single state of zeros.

        The authors mask a text out whole; keys and values have no bias, so that comes to the same, and no kernel is
        asked for a mean over nothing.
        """
        import torch

        states = _with_nothing(texts, self._decoder)
        lengths = torch.tensor([len(state) for state in states], device=self._decoder.device)
        mask = torch.arange(int(lengths.max()), device=self._decoder.device)[None] < lengths[:, None]
        return Condition(torch.nn.utils.rnn.pad_sequence(states, batch_first=True), mask)

    def logits(self, codes: Tensor, texts: Sequence[Tensor | None]) -> Tensor:
        """See `DecoderForm`."""
        condition = self.condition(texts)
        answer = self._decoder(
            input_ids=_flat(codes),
            encoder_hidden_states=condition.states,
            encoder_attention_mask=condition.mask,
            use_cache=False,
        )
        return answer.logits.unflatten(0, (len(codes), -1))


class Prefixed:
    """Melody: chroma and text stand before the codes."""

    def __init__(self, model: Any) -> None:
        self._model, self._decoder = model, model.decoder

    def condition(self, texts: Sequence[Tensor | None]) -> Condition:
        """Return the texts behind the melody that says "none", padded with zeros: for codes that are drawn together.

        That no text is as many zeros as the longest has states is the authors' way too.
        """
        import torch

        padded = torch.nn.utils.rnn.pad_sequence(_with_nothing(texts, self._decoder), batch_first=True)
        return Condition(torch.cat([self._no_melody().expand(len(texts), -1, -1), padded], dim=1), None, is_prefix=True)

    def logits(self, codes: Tensor, texts: Sequence[Tensor | None]) -> Tensor:
        """See `DecoderForm`. What is padded stands behind the codes, where nothing that counts looks at it.

        Padding before them would move the codes' places, by the texts of the samples beside.
        """
        import torch

        melody = self._no_melody()[0]
        embedded = sum(table(codes[..., book]) for book, table in enumerate(self._decoder.model.decoder.embed_tokens))
        before = [torch.cat([melody, state]) for state in _with_nothing(texts, self._decoder)]
        rows = [torch.cat([prefix, row]) for prefix, row in zip(before, embedded, strict=True)]
        hidden = self._decoder.model(
            inputs_embeds=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), use_cache=False
        ).last_hidden_state
        own = [row[len(prefix) : len(prefix) + codes.shape[1]] for row, prefix in zip(hidden, before, strict=True)]
        states = torch.stack(own)
        return torch.stack([head(states) for head in self._decoder.lm_heads], dim=1)

    def _no_melody(self) -> Tensor:
        """Return the chroma that says "none" as states, `[1, frames, hidden]`."""
        import torch

        config = self._model.config
        chroma = torch.zeros((1, 1, config.num_chroma), device=self._decoder.device)
        chroma[..., 0] = 1
        projection = getattr(self._model, "audio_enc_to_dec_proj", None)  # none where both have one width
        with torch.no_grad():
            state = projection(chroma) if projection else chroma
        return state.to(_dtype(self._decoder)).expand(1, config.chroma_length, -1)


def _with_nothing(texts: Sequence[Tensor | None], decoder: Any) -> list[Tensor]:
    """Return the texts in the decoder's precision, and a single state of zeros where there is none."""
    import torch

    nothing = torch.zeros((1, decoder.config.hidden_size), device=decoder.device)
    return [(nothing if text is None else text).to(_dtype(decoder)) for text in texts]


def _dtype(decoder: Any) -> Any:
    return decoder.model.decoder.embed_tokens[0].weight.dtype


def _flat(codes: Tensor) -> Tensor:
    """Return codes `[batch, frames, codebooks]` as transformers wants them: `[batch · codebooks, frames]`."""
    return codes.permute(0, 2, 1).flatten(0, 1)
