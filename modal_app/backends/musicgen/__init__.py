"""MusicGen as a backend."""
