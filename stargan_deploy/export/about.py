"""What a graph says about itself to people who open it in a viewer."""

from stargan_deploy.card.card import EntryPoint, ModelCard
from stargan_deploy.card.tensors import TensorSpec


def describe_entry(name: str, point: EntryPoint, card: ModelCard) -> dict[str, str]:
    """Facts about an entry point by name, in words; those that a model has not are left out.

    Args:
        name: of the entry point.
        point: as the graph has it.
        card: of the artefact.
    """
    how = card.preprocessing
    inputs, outputs = (", ".join(map(_words, specs)) for specs in (point.inputs, point.outputs))
    facts = {
        "description": f"{card.family}, {name}: {inputs} to {outputs}",
        "entry_point": name,
        "labels": ", ".join(card.labels.names),
        "label_groups": "; ".join(
            ", ".join(g) for s in card.labels.sets for g in s.exclusive_groups
        ),
        "image_size": str(how.image_size),
        "crop_size": str(how.crop_size or "none"),
        "trained_on": card.training_data,
        "licence_of_the_data": card.data_licence,
        "intended_use": card.intended_use,
    }
    return {key: text for key, text in facts.items() if text}


def _words(spec: TensorSpec) -> str:
    sizes = " x ".join(str(dim) if isinstance(dim, int) else dim.symbol for dim in spec.shape)
    values = ""
    if spec.value_range is not None:
        least, greatest = spec.value_range
        values = f", {least:g} to {greatest:g}"
    return f"{spec.name} ({spec.dtype}, {sizes}{values})"
