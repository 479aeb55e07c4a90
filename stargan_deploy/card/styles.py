"""The way from a domain and a style to an image, found in a card by the kinds of inputs."""

from dataclasses import dataclass

from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.tensors import Kind, TensorSpec


@dataclass(frozen=True, kw_only=True)
class StyleRoute:
    """Entry points that make images of a domain in a style, by what they do."""

    translate: str
    """From an image and a style to an image."""
    by_latent: str | None
    """From a latent and a domain to a style; None where the model has none."""
    by_reference: str | None
    """From an image and a domain to a style; None where the model has none."""


def style_route(card: ModelCard) -> StyleRoute | None:
    """The entry points by which a model translates in a style; None if it does not."""
    points = sorted(card.entry_points.items())
    translate = next((n for n, p in points if p.makes_images and _takes(p, "image", "style")), None)
    by_latent, by_reference = (
        next((n for n, p in points if _makes_styles(p) and _takes(p, kind, "class_index")), None)
        for kind in ("latent", "image")
    )
    if translate is None or not card.labels.sets or (by_latent or by_reference) is None:
        return None
    return StyleRoute(translate=translate, by_latent=by_latent, by_reference=by_reference)


def heat_maps(point: EntryPoint) -> tuple[TensorSpec, ...]:
    """The inputs that say where something is in the image."""
    return tuple(spec for spec in point.inputs_of("mask") if spec.is_heat_map)


def _makes_styles(point: EntryPoint) -> bool:
    return point.outputs[0].kind == "style"


def _takes(point: EntryPoint, *kinds: Kind) -> bool:
    """Whether the inputs are one of each of these kinds, heat maps apart."""
    maps = heat_maps(point)
    return sorted(spec.kind for spec in point.inputs if spec not in maps) == sorted(kinds)
