import numpy as np
import pytest
import torch
from torch.nn import functional as F

from stargan_deploy.errors import UsageError
from stargan_deploy.families.base import OfficialOptions
from stargan_deploy.families.checkpoint import build_model
from stargan_deploy.families.registry import load_family
from stargan_deploy.families.stargan_v2.networks import (
    HighPass,
    build_networks,
    check_training_size,
    pick,
)

NAMES = ("cat", "dog", "wild")
FILES = {"afhq": "tiny-afhq-nets.ckpt", "celeba_hq": "tiny-celeba_hq-nets_ema.ckpt"}


@pytest.fixture(params=FILES)
def converted(official, request):
    """The networks of an official file, and the numbers that the official code gave."""
    folder = official / "stargan_v2"
    path = folder / FILES[request.param]
    checkpoint = load_family("starganv2").read_official(path, OfficialOptions(names=NAMES))
    numbers = np.load(folder / f"forward_{request.param}.npz")
    return build_model(checkpoint), {k: torch.from_numpy(numbers[k]) for k in numbers.files}


def outputs(networks, given, dtype):
    def own(name):
        value = given[name]
        return value.to(dtype) if value.is_floating_point() else value

    image, domain = own("image"), given["target"]
    masks = [own(name) for name in ("mask_0", "mask_1") if name in given]
    styles = {
        "latent": networks["mapping_network"](own("latent"), domain),
        "reference": networks["style_encoder"](own("reference"), domain),
    }
    found = {f"style_{name}": style for name, style in styles.items()}
    generator = networks["generator"]
    found |= {f"fake_{name}": generator(image, style, *masks) for name, style in styles.items()}
    if masks:
        found["fake_latent_without_masks"] = generator(image, styles["latent"])
    if "discriminator" in networks:
        found["logit"] = networks["discriminator"](image, domain)
    return found


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_equal_the_official_code(converted, dtype):
    networks, given = converted
    found = outputs({role: n.to(dtype) for role, n in networks.items()}, given, dtype)
    assert set(found) >= {"style_latent", "style_reference", "fake_latent", "fake_reference"}
    for name, value in found.items():
        scale = max(1.0, float(given[name].abs().max()))
        assert float((value - given[name]).abs().max()) < 1e-5 * scale, name


@torch.no_grad()
def test_masks_of_zeros_switch_the_skip_off(converted):
    networks, given = converted
    if "mask_0" in given:
        generator, zeros = networks["generator"], torch.zeros_like(given["mask_0"])
        style = given["style_latent"]
        with_zeros = generator(given["image"], style, zeros, zeros)
        assert torch.equal(with_zeros, generator(given["image"], style))
        assert not torch.equal(with_zeros, generator(given["image"], style, zeros, zeros + 1))


def test_the_filter_is_the_official_one():
    skip, x = HighPass(2.0), torch.rand(2, 3, 6, 8, dtype=torch.float64)
    kernel = skip.filter.double().expand(3, 1, 3, 3)
    assert torch.allclose(skip(x), F.conv2d(x, kernel, padding=1, groups=3), atol=1e-12)


@pytest.mark.parametrize(("w_hpf", "num_blocks"), [(0.0, 6), (1.0, 7)])
def test_official_sizes_at_256(w_hpf, num_blocks):
    table = {
        "image_size": 256,
        "num_domains": 2,
        "conv_dim": 64,
        "max_conv_dim": 512,
        "style_width": 64,
        "latent_width": 16,
        "mapping_width": 512,
        "w_hpf": w_hpf,
    }
    with torch.device("meta"):
        networks = build_networks(table)
    assert len(networks["generator"].encode) == num_blocks
    sizes = {role: sum(p.numel() for p in n.parameters()) for role, n in networks.items()}
    assert w_hpf or sizes.pop("generator") == 33_892_995
    sizes.pop("generator", None)
    assert sizes == {
        "mapping_network": 2_438_272,
        "style_encoder": 20_916_928,
        "discriminator": 20_852_290,
    }


def test_each_row_picks_the_head_of_its_domain():
    heads = [torch.full((3, 2), float(domain)) for domain in range(4)]
    picked = pick(heads, torch.tensor([2, 0, 3]))
    assert picked.tolist() == [[2, 2], [0, 0], [3, 3]]


def test_sizes_that_do_not_fit_are_refused(converted):
    networks, given = converted
    with pytest.raises(UsageError, match=r"multiples of [48], not 64x66"):
        networks["generator"](torch.zeros(1, 3, 64, 66), given["style_latent"][:1])
    for size in (0, 16, 48, 100):
        with pytest.raises(UsageError, match=f"power of two from 32 on, not {size}"):
            check_training_size(size)
