"""The resource `pipeline` of a test: ports that the test opened, in place of those that the settings name."""

from dataclasses import dataclass

from resources.ports import Ports


@dataclass(frozen=True)
class GivenPipeline:
    """Hands out the ports that it was given."""

    given: Ports

    def ports(self) -> Ports:
        return self.given
