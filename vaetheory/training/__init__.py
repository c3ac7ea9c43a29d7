"""Training small VAEs with six objectives, and measuring them on held-out data."""

from vaetheory.training import tables
from vaetheory.training.data import SOURCES, Source, Split, split
from vaetheory.training.density import Density
from vaetheory.training.experiment import Experiment, Task, run_task
from vaetheory.training.experiment import run as run_experiment
from vaetheory.training.latent_lattice import lattice_evidence
from vaetheory.training.measures import Measures, exact_evidence, sampled
from vaetheory.training.networks import Network
from vaetheory.training.objectives import OBJECTIVES, Objective
from vaetheory.training.reading import read
from vaetheory.training.runs import Run, Settings, density_of, train
from vaetheory.training.statistics import Interval, interval
from vaetheory.training.vae import Units, Vae

__all__ = [
    "OBJECTIVES",
    "SOURCES",
    "Density",
    "Experiment",
    "Interval",
    "Measures",
    "Network",
    "Objective",
    "Run",
    "Settings",
    "Source",
    "Split",
    "Task",
    "Units",
    "Vae",
    "density_of",
    "exact_evidence",
    "interval",
    "lattice_evidence",
    "read",
    "run_experiment",
    "run_task",
    "sampled",
    "split",
    "tables",
    "train",
]
