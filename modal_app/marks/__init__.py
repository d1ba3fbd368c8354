"""Marks on what is generated: tags in plain words, in WAV and in other formats. No sound is changed."""
