"""Approving a training that is expected to cost more than is let through without being asked."""

import logging

from dawa_assets.tables.artists import Artist
from dawa_assets.tables.training_approvals import Approval, approve, waiting_approval
from modal_app.errors import InputError
from resources.ports import Ports

log = logging.getLogger(__name__)


def approve_training(ports: Ports, artist: Artist, author: str) -> Approval:
    """Approve the training that waits under the model name of the settings, and return what was approved.

    It is that one training: with another dataset, base or parameters a person is asked again.

    Raises:
        InputError: none waits.
    """
    with ports.database.transaction() as connection:
        waiting = waiting_approval(connection, artist, ports.settings.model_name)
        if waiting is None or not approve(connection, artist, waiting, author):
            raise InputError(f"{artist.slug}: no training waits for approval; `dawa train {artist.slug}` trains")
    log.info("%s approved a training of %s: %s", author, artist.slug, waiting.plan)
    return waiting
