"""Feature networks by what a user calls them."""

from pathlib import Path

from stargan_deploy.devices import Device
from stargan_deploy.errors import UsageError, unknown_name
from stargan_deploy.evaluation.features.base import FeatureNet

EFFICIENTNET, INCEPTION, FACE_API = "efficientnet-lite0", "inception", "face-api"
JUDGE = "judge"

KNOWN = (EFFICIENTNET, f"{INCEPTION}:FILE", f"{JUDGE}:MODEL", FACE_API, "FILE.onnx")


def open_features(words: str, *, device: Device | None = None) -> FeatureNet:
    """The network that is meant, to be entered.

    Args:
        words: "efficientnet-lite0"; "inception:FILE"; "judge:MODEL"; "face-api"; or an ONNX file,
            with settings after commas where they cannot be read off it:
            "arcface.onnx,range=-1..1,order=bgr".
        device: where to compute; None takes a usable GPU, else the CPU.

    Raises:
        UsageError: there is no such network, or a setting that does not exist.
        ModelError: a file that is missing, or does not hold such a network.
        BackendError: a package that is not installed.
    """
    kind, _, rest = words.partition(":")
    if words == EFFICIENTNET:
        from stargan_deploy.evaluation.features.efficientnet import EfficientNetLite0

        return EfficientNetLite0(device=device)
    if kind == INCEPTION and rest:
        from stargan_deploy.evaluation.features.inception import InceptionFeatures

        return InceptionFeatures(Path(rest), device=device)
    if kind == JUDGE and rest:
        from stargan_deploy.evaluation.features.judge import JudgeFeatures
        from stargan_deploy.evaluation.judge import Judge

        return JudgeFeatures(Judge.open(Path(rest), device=str(device) if device else None))
    if words == FACE_API:
        from stargan_deploy.evaluation.features.face_api import FaceApi

        return FaceApi()
    if words.partition(",")[0].lower().endswith(".onnx"):
        from stargan_deploy.evaluation.features.onnx_file import parse_embedding

        return parse_embedding(words)
    raise UsageError(unknown_name("feature network", words, KNOWN))
