"""Audio: decoding, resampling, cutting into segments, and the write-once cache that they live in."""
