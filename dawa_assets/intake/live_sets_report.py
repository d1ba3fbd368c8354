"""What became of an artist's Live Sets in one run."""

from dataclasses import dataclass, field


@dataclass
class LiveSetsReport:
    """What became of an artist's Live Sets. Pairs are (name, reason)."""

    taken: list[str] = field(default_factory=list)
    unchanged: list[tuple[str, str]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[tuple[str, str]] = field(default_factory=list)
    parsed_again: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    adopted: int = 0
    seconds: float = 0.0

    @property
    def headline(self) -> str:
        """The report on one line."""
        counts = {
            "taken in": len(self.taken),
            "known already": len(self.unchanged),
            "rejected": len(self.rejected),
            "waiting": len(self.waiting),
            "read again": len(self.parsed_again),
            "failed": len(self.failed),
            "adopted": self.adopted,
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing new in the inbox"
