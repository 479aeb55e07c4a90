"""The classifier as a family."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from stargan_deploy.card.card import EntryPoint, ModelCard, new_entry_point
from stargan_deploy.card.tensors import image_spec, vector_spec
from stargan_deploy.config import from_mapping
from stargan_deploy.errors import DataError
from stargan_deploy.families.base import Family
from stargan_deploy.families.classifier.networks import (
    ClassifierNetwork,
    ModelConfig,
    build_networks,
    fitting_stride,
)
from stargan_deploy.families.classifier.objective import (
    CLASSIFIER,
    ClassifierObjective,
    LossConfig,
)
from stargan_deploy.families.objectives.base import Objective, ObjectiveRequest

CLASSIFIER64: dict[str, Any] = {
    "data": {"image_size": 64, "jitter": 6},
    "loss": {"label_smoothing": 0.02, "weight_decay": 1e-4, "colour_jitter": 0.1},
    "train": {
        "epochs": 12.0,
        "batch_size": 64,
        "discriminator_lr": 1e-3,
        "beta1": 0.9,
        "critic_steps": 1,
    },
    "output": {
        "log_every": 20,
        "sample_every": 500,
        "evaluate_every": 500,
        "num_evaluated": 512,
        "checkpoint_every": 500,
    },
}
"""A judge of 64x64 images, with the width of ResNet-18."""

PRESETS: dict[str, dict[str, Any]] = {"classifier": CLASSIFIER64}


class ClassifierFamily(Family):
    """Labels of an image, and features to compare images by."""

    name = "classifier"
    model_config = ModelConfig
    loss_config = LossConfig
    presets = PRESETS

    def build_networks(self, network: Mapping[str, Any]) -> dict[str, nn.Module]:
        """The classifier with fresh weights."""
        return build_networks(network)

    def entry_points(
        self, networks: Mapping[str, nn.Module], card: ModelCard
    ) -> dict[str, EntryPoint]:
        """`classify`: logits of the labels, and the features below them in the same pass."""
        config = from_mapping(ClassifierNetwork, card.network)
        image = image_spec("image", config.image_size, config.image_size)
        logits = vector_spec("logits", "logits", config.num_labels)
        features = vector_spec("features", "features", config.num_features)
        return {"classify": new_entry_point([image], logits, features)}

    def entry_networks(self, entry_point: str) -> tuple[str, ...]:
        """There is one network."""
        return (CLASSIFIER,)

    def create_objective(self, request: ObjectiveRequest) -> Objective:
        """Build the network and its loss for a training.

        Raises:
            DataError: the data has no labels.
        """
        if not request.labels.sets:
            raise DataError(
                f"a classifier learns labels, and images of kind {request.data_kind!r} have none",
                hint="set `data.kind` to a layout with labels",
            )
        return ClassifierObjective(request)

    def resolve_model(self, model: ModelConfig, image_size: int) -> ModelConfig:
        """Fill in the stem's stride."""
        return replace(model, stem_stride=model.stem_stride or fitting_stride(image_size))

    def label_layers(self, role: str) -> Mapping[str, int]:
        """Labels leave the last layer."""
        return {"fc.weight": 0, "fc.bias": 0}
