"""The deployable folder: all that a server needs in one place, checked when it is opened."""

from crosstower.serving.bundle.building import make_bundle
from crosstower.serving.bundle.bundle import Bundle

__all__ = ["Bundle", "make_bundle"]
