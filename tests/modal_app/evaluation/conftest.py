"""The finished run and the tiny base of the trainer's tests."""

from tests.modal_app.training.conftest import backend, trained

__all__ = ["backend", "trained"]
