"""What Modal is used for: calls, claims, containers, fan-out, images, storage."""
