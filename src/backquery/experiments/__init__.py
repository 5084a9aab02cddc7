"""What is found out by trying: networks damaged, watched while they learn, trained by the dozen."""

from backquery.experiments.damage import Damage, measure_damage
from backquery.experiments.timeline import Timeline, load_timeline, watch_training

__all__ = ["Damage", "Timeline", "load_timeline", "measure_damage", "watch_training"]
