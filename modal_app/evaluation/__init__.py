"""What an adapter is worth: its losses, what it renders beside the base's, the artist's and other music, and copies."""
