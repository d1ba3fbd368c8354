"""The project's code location with pauses of seconds in place of minutes, for daemons that a test waits for."""

from dawa_assets.definitions import defs as defs  # the same, with the module's pauses as they are set here
from dawa_assets.defs.policies import retries
from dawa_assets.defs.sensors import run_requests
from dawa_assets.defs.sensors.all_sensors import sensors

run_requests.FIRST_PAUSE_SECONDS = 0.5
retries.PAUSE_SECONDS = 0.1
for sensor in sensors:
    sensor._min_interval = 2
