"""Live Sets: from the bytes of an .als to an `AlsSummary` and a picture of its timeline."""
