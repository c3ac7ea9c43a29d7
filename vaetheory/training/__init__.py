"""Training small VAEs with six objectives, and measuring them on held-out data."""

from vaetheory._moved import names_of
from vaetheory.training import estimate_tables, tables
from vaetheory.training.data import SOURCES, Source, Split, split_data
from vaetheory.training.density import Density
from vaetheory.training.experiment import Experiment, Task, run_task
from vaetheory.training.experiment import run as run_experiment
from vaetheory.training.image_files import read_images
from vaetheory.training.image_settings import ImageSettings
from vaetheory.training.images import IMAGES, Images, ImageSplit, images_from
from vaetheory.training.latent_lattice import lattice_evidence
from vaetheory.training.measures import Measures, exact_evidence, sampled_measures
from vaetheory.training.networks import Network
from vaetheory.training.objectives import IMAGE_OBJECTIVES, OBJECTIVES, Objective
from vaetheory.training.reading import read_data
from vaetheory.training.runs import Run, Settings, density_of, train
from vaetheory.training.statistics import Interval, confidence_interval
from vaetheory.training.vae import Units, Vae

__all__ = [
    "IMAGES",
    "IMAGE_OBJECTIVES",
    "OBJECTIVES",
    "SOURCES",
    "Density",
    "Experiment",
    "ImageSettings",
    "ImageSplit",
    "Images",
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
    "confidence_interval",
    "density_of",
    "estimate_tables",
    "exact_evidence",
    "images_from",
    "lattice_evidence",
    "read_data",
    "read_images",
    "run_experiment",
    "run_task",
    "sampled_measures",
    "split_data",
    "tables",
    "train",
]

__getattr__ = names_of(
    __name__,
    interval="confidence_interval",
    read="read_data",
    sampled="sampled_measures",
    split="split_data",
)
