"""No mutation of a file makes the reader raise anything but its own error, or lose sound in silence."""

from pathlib import Path

import pytest

from tests.modal_app.audio.mutations import mutated, small_files, trouble


def _campaign(folder: Path, mutations: int) -> None:
    files = small_files(folder)
    assert len(files) == 12
    found = []
    for name, (data, samples, seconds) in files.items():
        for seed in range(mutations // len(files) + 1):
            reason = trouble(mutated(data, seed), name, samples, seconds)
            if reason is not None:
                found.append((name, seed, reason))
    assert found == []


def test_mutated_files_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    _campaign(tmp_path, 500)


@pytest.mark.slow
def test_many_mutated_files_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    _campaign(tmp_path, 20_000)
