"""Matrix products in torch."""

import torch

from stargan_deploy.backends.products import Arithmetic, Product, Size


def product(arithmetic: Arithmetic, size: Size, device: str) -> Product:
    """Prepares a product; see `backends.products`."""
    rows, columns, inner = size
    if arithmetic == "int8":
        left = torch.randint(-100, 100, (rows, inner), dtype=torch.int8, device=device)
        # Stored by columns, as the GPU's integer units want it.
        right = torch.randint(-100, 100, (columns, inner), dtype=torch.int8, device=device).t()
        return lambda: torch._int_mm(left, right)
    dtype = getattr(torch, arithmetic)
    a, b = (torch.randn(shape, device=device) for shape in ((rows, inner), (inner, columns)))
    a, b, out = a.to(dtype), b.to(dtype), torch.empty(rows, columns, device=device, dtype=dtype)
    return lambda: torch.mm(a, b, out=out)
