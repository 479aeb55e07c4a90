"""DCGAN's initial weights (Radford, ICLR 2016, section 4), which other papers adopted."""

from torch import nn

STANDARD_DEVIATION = 0.02


def draw_weights(network: nn.Module) -> None:
    """Draw convolutions from N(0, 0.02) and scales of batch norm from N(1, 0.02); biases are 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, STANDARD_DEVIATION)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, STANDARD_DEVIATION)
            nn.init.zeros_(layer.bias)
