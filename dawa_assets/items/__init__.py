"""Training items: one pair of audio and prompt each, its files, and its way from `needs_audio` to `exported`."""
