import platform
import shutil
from pathlib import Path

import pytest
import torch
from torch.export import ExportedProgram

from crosstower.errors import RunError
from crosstower.models.registry import build
from crosstower.ranking.scorer import Eager
from crosstower.serving.export import compiled
from crosstower.serving.export.compiled import (
    check_machine,
    compile_program,
    open_compiled,
    this_machine,
)
from crosstower.serving.export.inputs import signature_of
from crosstower.serving.export.program import traced
from crosstower.serving.export.sample import sample

from .conftest import LAYOUT, SHARED

NAMES = {"dcn_v2": {"cross_layers": 1}, "mmoe": {"experts": 2}}
has_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="no C++ compiler here"
)


@pytest.mark.slow
@has_compiler
@pytest.mark.parametrize("name", NAMES)
def test_compiled_logits_are_those_of_the_model(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build(LAYOUT, {"name": name, "embedding_dim": 4} | NAMES[name]).eval()
    path, signature = tmp_path / "model.pt2", signature_of(LAYOUT, SHARED)
    compile_program(traced(model, LAYOUT, SHARED), path)
    form = open_compiled(path, signature, this_machine())
    for rows in (1, 2, 7, 500):
        request = sample(LAYOUT, rows, shared=SHARED, seed=rows)
        found, expected = form.logits(request), Eager(model).logits(request)
        assert list(found) == list(expected)
        for task, logits in expected.items():
            assert found[task] == pytest.approx(logits, abs=1e-5)
    assert form.logits(sample(LAYOUT, 1, shared=SHARED)[:0])["click"].shape == (0,)
    path.write_bytes(b"no package")
    with pytest.raises(RunError, match=r"model.pt2: cannot be loaded: .*; export again"):
        open_compiled(path, signature, this_machine())


def test_without_a_compiler_it_says_so(
    program: ExportedProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import config, cpp_builder

    monkeypatch.setattr(config.cpp, "cxx", (None, "no-such-compiler"))
    cpp_builder.cpp_compiler_search.cache_clear()
    with pytest.raises(RunError, match=r"aoti: no C\+\+ compiler here; install one, such as g\+\+"):
        compile_program(program, tmp_path / "model.pt2")
    cpp_builder.cpp_compiler_search.cache_clear()


def test_this_machine_runs_what_it_compiled() -> None:
    machine = this_machine()
    check_machine(machine, Path("model.pt2"))
    assert machine.torch == torch.__version__
    assert machine.system == platform.system()
    assert machine.processor


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"torch": "1.0"}, "compiled with torch 1.0, this is"),
        ({"machine": "sparc"}, "compiled with machine sparc, this is"),
        ({"system": "Plan 9"}, "compiled with system Plan 9, this is"),
        ({"features": ("avx99",), "processor": "Z"}, "the processor 'Z', which has avx99 that"),
        ({"features": (), "processor": "Z"}, "compiled for the processor 'Z'; this is"),
    ],
)
def test_another_machine_is_refused(change: dict[str, object], said: str) -> None:
    made = this_machine().model_copy(update=change)
    with pytest.raises(RunError) as error:
        check_machine(made, Path("model.pt2"))
    assert said in str(error.value)
    assert "compile it here with: crosstower export" in str(error.value)


def test_a_processor_that_can_more_will_do() -> None:
    here = this_machine()
    fewer = here.model_copy(update={"features": here.features[:1], "processor": "older"})
    if here.features:
        check_machine(fewer, Path("model.pt2"))
    else:
        with pytest.raises(RunError, match="compiled for the processor 'older'"):
            check_machine(fewer, Path("model.pt2"))


def test_the_first_processor_counts(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("model name\t: A: B\nflags\t\t: fpu avx2\n\nmodel name\t: C\nflags\t: sse\n")
    facts = compiled._processor_facts(path)
    assert facts == {"model name": "A: B", "flags": "fpu avx2"}
    assert compiled._processor_facts(tmp_path / "nothing") == {}
