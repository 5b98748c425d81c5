"""A ranker compiled ahead of time by AOTInductor: a shared library for this machine's processor.

To open one is to run native code, from the file, in this process: open only what you compiled. It
is made for the instructions of one processor and for one build of torch, and refused elsewhere.

Source: PyTorch, "AOTInductor: ahead-of-time compilation for torch.export-ed models",
https://docs.pytorch.org/docs/stable/torch.compiler_aot_inductor.html
"""

from __future__ import annotations

import platform
from pathlib import Path

import torch
from torch.export import ExportedProgram

from crosstower.errors import RunError
from crosstower.recipe.frozen import Frozen
from crosstower.serving.export.inputs import Signature
from crosstower.serving.export.program import TorchProgram, quiet

FILE = "model.aoti.pt2"


class Machine(Frozen):
    """What compiled code depends on.

    `features` are the instruction sets of the processor where the system tells (Linux).
    """

    system: str
    machine: str
    processor: str
    features: tuple[str, ...]
    torch: str


def this_machine() -> Machine:
    """Return what code compiled here depends on."""
    facts = _processor_facts(Path("/proc/cpuinfo"))
    return Machine(
        system=platform.system(),
        machine=platform.machine(),
        processor=facts.get("model name") or platform.processor() or platform.machine(),
        features=tuple(sorted((facts.get("flags") or facts.get("Features") or "").split())),
        torch=str(torch.__version__),
    )


def check_machine(made: Machine, where: Path) -> None:
    """Refuse code that was compiled for another processor or another torch.

    Raises:
        RunError: with what differs.

    """
    here = this_machine()
    again = "compile it here with: crosstower export RUN -o DIR --kind aoti"
    for name in ("system", "machine", "torch"):
        there, own = getattr(made, name), getattr(here, name)
        if there != own:
            raise RunError(f"{where}: compiled with {name} {there}, this is {own}; {again}")
    missing = sorted(set(made.features) - set(here.features))
    if missing or (not made.features and made.processor != here.processor):
        lacking = f", which has {', '.join(missing[:5])} that this one lacks" if missing else ""
        raise RunError(
            f"{where}: compiled for the processor '{made.processor}'{lacking}; this is"
            f" '{here.processor}'; {again}"
        )


def compile_program(program: ExportedProgram, path: Path) -> None:
    """Compile a program into a file that ends in .pt2; it takes ten seconds and more.

    Raises:
        RunError: there is no C++ compiler, or it fails.

    """
    from torch._inductor import aoti_compile_and_package  # noqa: PLC0415 - slow to load
    from torch._inductor.cpp_builder import get_cpp_compiler  # noqa: PLC0415
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler  # noqa: PLC0415

    try:
        get_cpp_compiler()
        with quiet(), torch.no_grad():
            aoti_compile_and_package(program, package_path=str(path))
    except InvalidCxxCompiler as error:
        raise RunError(
            "aoti: no C++ compiler here; install one, such as g++, or set CXX to where it is, or"
            " leave --kind aoti"
        ) from error
    except CppCompileError as error:
        raise RunError(f"aoti: the C++ compiler failed: {error}") from error


def open_compiled(path: Path, signature: Signature, made: Machine) -> TorchProgram:
    """Load a compiled program, and so run code of the file.

    Raises:
        RunError: it was made for another processor or torch, or cannot be loaded.

    """
    from torch._inductor import aoti_load_package  # noqa: PLC0415 - slow to load

    check_machine(made, path)
    try:
        with quiet():
            loaded = aoti_load_package(str(path))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: cannot be loaded: {reason}; export again") from error
    return TorchProgram(loaded, signature)


def _processor_facts(path: Path) -> dict[str, str]:
    """Return what Linux says about the first processor, nothing elsewhere."""
    try:
        first = path.read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
