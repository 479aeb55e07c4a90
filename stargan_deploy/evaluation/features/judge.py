"""The features of a judge, as a feature network.

An evaluation that asks the judge for labels too takes `Judge.look`, which gives both in one pass.
"""

import numpy as np

from stargan_deploy.errors import ModelError
from stargan_deploy.evaluation.features.base import FeatureNet, Features
from stargan_deploy.evaluation.judge import Judge
from stargan_deploy.files.images import Pixels


class JudgeFeatures(FeatureNet):
    """The features below a classifier's logits.

    Args:
        judge: entered and closed with this.

    Raises:
        ModelError: its classifier gives labels only.
    """

    def __init__(self, judge: Judge) -> None:
        if not judge.has_features:
            raise ModelError(
                f"{judge.name or 'this classifier'} gives labels, and no features",
                hint="train one with train/judge.toml",
            )
        self.name = f"judge ({judge.name})" if judge.name else "judge"
        self._judge = judge
        outputs = judge.card.entry_point("classify").outputs
        (width,) = (spec.dim("F").least for spec in outputs if spec.kind == "features")
        self.width = width

    def _open(self) -> None:
        self._judge.__enter__()

    def _close(self) -> None:
        self._judge.__exit__(None, None, None)

    def _compute(self, pixels_NHWC: Pixels) -> Features:
        found = self._judge.look(pixels_NHWC).features
        assert found is not None
        return np.asarray(found, np.float32)
