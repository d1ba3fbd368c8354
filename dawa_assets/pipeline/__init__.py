"""What every step of the pipeline stands on."""
