"""Sentences about the parts that a bundle lacks for a full shop page."""

from __future__ import annotations

import re

from crosstower.errors import BundleError
from crosstower.serving.bundle import Bundle

_LATITUDE, _LONGITUDE = r"(^|_)lat(itude)?$", r"(^|_)(lon|lng|long|longitude)$"


def missing_parts(bundle: Bundle) -> list[str]:
    """Return the missing parts of a bundle's shop, each with its remedy.

    Args:
        bundle: to serve.

    Raises:
        BundleError: it has no items to show.

    """
    if bundle.retrieval is None:
        raise BundleError(
            f"{bundle.folder}: a shop needs items, and this bundle only ranks rows that it is"
            " given; add a retrieval run: crosstower bundle RETRIEVAL RANKING -o DIR"
        )
    retriever = bundle.retriever()
    section, words = bundle.retrieval.recipe.retrieval, list[str]()
    if section is None or section.user is None:
        words.append("clicks change nothing: add user: COLUMN to retrieval in the recipe")
    elif not bundle.event_types:
        words.append("clicks change nothing: make the bundle again with --history-event click")
    if len(retriever.text_sources) != 1:
        words.append("no search box: it needs exactly one text column of the query in the recipe")
    frame = retriever.catalogue.attributes
    names = [name for name, kind in frame.schema.items() if kind.is_numeric()]
    if not all(any(re.search(f, n, re.I) for n in names) for f in (_LATITUDE, _LONGITUDE)):
        words.append("no map: it needs numeric item columns named latitude and longitude")
    return words
