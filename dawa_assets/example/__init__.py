"""An example artist, composed on the spot: three short tracks, their Live Sets, and a full profile."""
