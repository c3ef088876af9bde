"""The same matchers in Cython: a measured rival, so that the choice of Rust stays a fact and not a belief.

Built when a benchmark first asks for it, into a folder beside the temporary files; needs Cython and a C compiler.
"""

import hashlib
import importlib.util
import sys
import sysconfig
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

from harness import Missing

_SOURCE = Path(__file__).with_name("core.pyx")


@cache
def core() -> ModuleType:
    """The compiled module, built unless this very source has been built before."""
    try:
        import Cython
    except ImportError:
        raise Missing("not installed: pip install Cython setuptools") from None
    mark = hashlib.sha256(_SOURCE.read_bytes() + Cython.__version__.encode() + sys.version.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"fastcascade-cython-{mark}"
    built = folder / ("cascade_cython" + sysconfig.get_config_var("EXT_SUFFIX"))
    if not built.exists():
        _build(folder)
    spec = importlib.util.spec_from_file_location("cascade_cython", built)
    if spec is None or spec.loader is None:
        raise Missing(f"the Cython build left nothing to import in {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _build(folder: Path) -> None:
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "cascade_cython.pyx"
    copy.write_bytes(_SOURCE.read_bytes())
    extension = Extension("cascade_cython", [str(copy)], extra_compile_args=["-O3"])
    modules = cythonize([extension], build_dir=str(folder), quiet=True, language_level=3)
    command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib = str(folder)
    command.build_temp = str(folder / "build")
    command.ensure_finalized()
    command.run()
