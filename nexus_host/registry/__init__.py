"""What the user wants: teachers, towers, student, losses, data and run settings, read from `registry.yaml`."""

from .cards import DataCard, LossCard, RegistryModel, RunCard, StudentCard, TeacherCard, TowerCard
from .overrides import Override
from .problems import RegistryError
from .registry import Registry

__all__ = [
    "DataCard",
    "LossCard",
    "Override",
    "Registry",
    "RegistryError",
    "RegistryModel",
    "RunCard",
    "StudentCard",
    "TeacherCard",
    "TowerCard",
]
