"""Matrix products (GEMM) in each library, ready to be timed."""

import importlib

from stargan_deploy.backends.products import Arithmetic, Product, Size
from stargan_deploy.backends.registry import product_specs
from stargan_deploy.errors import BackendError, brief


def make_product(library: str, arithmetic: Arithmetic, size: Size, device: str) -> Product:
    """Prepares a product and computes it once.

    Args:
        library: a name in `product_specs`.
        arithmetic: what to multiply in. A library may compute in a wider type, if it can do no
            better.
        size: of the product.
        device: "cpu" or "cuda:N".

    Raises:
        BackendError: the library is not installed, or cannot do this here.
    """
    try:
        module, _, name = product_specs()[library].partition(":")
        product: Product = getattr(importlib.import_module(module), name)(arithmetic, size, device)
        product()
    except BackendError:
        raise
    except Exception as error:  # the libraries' errors share no base class
        raise BackendError(f"{library} multiplies no {arithmetic}: {brief(error)}") from error
    return product
