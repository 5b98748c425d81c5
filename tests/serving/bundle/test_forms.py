"""The form in which a bundle's ranker runs."""

from pathlib import Path

import pytest

from crosstower.errors import BundleError, RunError
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.forms import open_form

from .conftest import edit


@pytest.mark.parametrize("form", ["aoti", "torch_export", "pickle", ""])
def test_only_forms_without_native_code_are_opened(copy: Path, form: str) -> None:
    edit(copy, form=form)
    with pytest.raises(BundleError, match=rf"form: expected eager or onnx, got '{form}'; native"):
        Bundle.open(copy)


def test_a_form_is_refused_whoever_asks_for_it(bundle: Bundle, tmp_path: Path) -> None:
    funnel = bundle.funnel()
    with pytest.raises(RunError, match="form: expected eager or onnx, got 'aoti'"):
        open_form(funnel.scorer, "aoti", tmp_path)
