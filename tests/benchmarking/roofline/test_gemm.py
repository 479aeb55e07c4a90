import numpy as np
import pytest
import torch

from stargan_deploy.backends.products import factors
from stargan_deploy.backends.registry import product_specs
from stargan_deploy.benchmarking.roofline.gemm import make_product
from stargan_deploy.errors import BackendError

SIZE = (32, 16, 48)


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16", "float16", "int8"])
def test_torch_multiplies_in_that_type(arithmetic):
    product = make_product("torch", arithmetic, SIZE, "cpu")()
    assert product.shape == (32, 16)
    assert product.dtype == (torch.int32 if arithmetic == "int8" else getattr(torch, arithmetic))
    assert product.float().abs().min() < product.float().abs().max()


@pytest.mark.parametrize("arithmetic", ["float32", "int8"])
@pytest.mark.parametrize("library", ["onnxruntime", "openvino"])
def test_the_others_give_what_numpy_gives(library, arithmetic):
    pytest.importorskip(library)
    (product,) = make_product(library, arithmetic, SIZE, "cpu")().__iter__()
    left, right = factors(arithmetic, SIZE)
    if library == "openvino":
        product = make_product(library, arithmetic, SIZE, "cpu")()[0]
    scale = 0.01 if (library, arithmetic) == ("openvino", "int8") else 1
    expected = left.astype(np.float64) @ right.astype(np.float64) * scale
    assert np.allclose(product, expected, rtol=1e-3, atol=1e-2)


def test_factors_are_no_zeros_and_their_rows_differ():
    for arithmetic in ("float32", "float16", "int8"):
        for factor in factors(arithmetic, (300, 256, 512)):
            assert np.count_nonzero(factor) > 0.99 * factor.size
            assert len(np.unique(factor, axis=0)) == len(factor)


@pytest.mark.parametrize(
    ("library", "arithmetic", "device"),
    [
        ("onnxruntime", "bfloat16", "cpu"),
        ("onnxruntime", "float32", "cuda:0"),
        ("openvino", "float32", "cuda:0"),
        ("torch", "float32", "cuda:99"),
        ("torch", "float33", "cpu"),
        ("no-such-library", "float32", "cpu"),
    ],
)
def test_what_a_library_cannot_do(library, arithmetic, device):
    with pytest.raises(BackendError):
        make_product(library, arithmetic, SIZE, device)


@pytest.mark.gpu
@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16", "float16", "int8"])
def test_torch_multiplies_on_a_gpu(arithmetic):
    if not torch.cuda.is_available():
        pytest.skip("no usable GPU")
    assert make_product("torch", arithmetic, SIZE, "cuda:0")().device.type == "cuda"


def test_every_library_is_known():
    assert set(product_specs()) == {"torch", "onnxruntime", "openvino"}
