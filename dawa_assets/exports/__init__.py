"""The current dataset in the formats that other trainers read."""
