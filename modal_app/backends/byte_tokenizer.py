"""The text of tiny bases: one token a byte, so that no vocabulary has to be downloaded."""

from typing import Any


def byte_tokenizer(end: str) -> Any:
    """Return a tokenizer of 257 tokens: the 256 bytes, and `end`, which ends a text and pads it on the right."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=end, eos_token=end, padding_side="right")
