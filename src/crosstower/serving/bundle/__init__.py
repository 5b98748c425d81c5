"""The deployable folder: everything a server needs, verified when it is opened."""

from crosstower.serving.bundle.building import make_bundle
from crosstower.serving.bundle.bundle import Bundle

__all__ = ["Bundle", "make_bundle"]
