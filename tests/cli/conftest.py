"""The runs that tests of other rooms train."""

from ..blending.conftest import feed_recipe, feed_run
from ..retrieval.conftest import run, search_run

__all__ = ["feed_recipe", "feed_run", "run", "search_run"]
