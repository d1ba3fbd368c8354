"""The sensors of the code location."""

from dawa_assets.defs.sensors.alerts import alert_on_failure
from dawa_assets.defs.sensors.forgetting import forget_deleted_artists
from dawa_assets.defs.sensors.inbox import inbox_sensor
from dawa_assets.defs.sensors.orphan_cleanup import reap_trainings
from dawa_assets.defs.sensors.retraining import retrain_sensor
from dawa_assets.defs.sensors.stale_prompts import stale_prompts_sensor

sensors = [inbox_sensor, stale_prompts_sensor, retrain_sensor, alert_on_failure, reap_trainings, forget_deleted_artists]
