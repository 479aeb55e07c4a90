"""Data layouts by name, as `data.kind` has them."""

LAYOUTS = {
    "celeba": "stargan_deploy.data.layouts.listed:CelebALayout",
    "csv": "stargan_deploy.data.layouts.listed:CsvLayout",
    "idx": "stargan_deploy.data.layouts.idx:IdxLayout",
    "unpaired": "stargan_deploy.data.layouts.unpaired:UnpairedLayout",
    "folders": "stargan_deploy.data.layouts.folders:FoldersLayout",
    "paired": "stargan_deploy.data.layouts.paired:PairedLayout",
    "plain": "stargan_deploy.data.layouts.plain:PlainLayout",
    "synthetic": "stargan_deploy.data.layouts.synthetic:SyntheticLayout",
}
"""Class of each layout, imported on use, in the order in which a folder is tried."""

WITHOUT_FOLDER = frozenset(("synthetic",))
"""Layouts that draw their images and need no `data.root`."""
