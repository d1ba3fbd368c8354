"""What `dg scaffold defs` wrote below `defs/`: taken into the code location without being named anywhere.

The project's own modules are gone through like all others and bring nothing new: what they define is there already.
"""

import importlib
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster.components.definitions import LazyDefinitions

import dawa_assets.defs as package

_COMPONENTS = ("defs.yaml", "defs.yml", "component.yaml")
_ASSETS = (dg.AssetsDefinition, dg.AssetSpec, dg.SourceAsset)
_JOBS = (dg.JobDefinition, UnresolvedAssetJobDefinition)
_WHOLE = (dg.Definitions, LazyDefinitions)
_ALL = (*_ASSETS, *_JOBS, *_WHOLE, dg.ScheduleDefinition, dg.SensorDefinition)


def scaffolded_definitions(known: Collection[object]) -> Iterator[dg.Definitions]:
    """Yield what modules and components below `defs/` define, but for the objects that are known."""
    root = Path(package.__path__[0])
    folders = {file.parent for name in _COMPONENTS for file in root.rglob(name)}
    outermost = sorted(folder for folder in folders if folders.isdisjoint(folder.parents))
    there = {id(each) for each in known}
    lazy: list[Path] = []
    for file in sorted(root.rglob("*.py")):
        if folders.isdisjoint(file.parents):
            objects = [each for each in _objects(_import(root, file)) if id(each) not in there]
            there |= {id(each) for each in objects}  # one module may import another's
            if any(isinstance(each, _WHOLE) for each in objects):
                lazy.append(file)
            elif objects:
                yield _definitions(objects)
    if lazy or outermost:
        tree = dg.ComponentTree.from_module(defs_module=package, project_root=root.parents[1])
        yield from (tree.build_defs_at_path(place) for place in (*lazy, *outermost))


def _import(root: Path, file: Path) -> ModuleType:
    parts = file.relative_to(root).with_suffix("").parts
    return importlib.import_module(".".join((package.__name__, *(part for part in parts if part != "__init__"))))


def _objects(module: ModuleType) -> Iterator[object]:
    """Yield the definitions that a module has by a name of its own, or in a list."""
    for value in vars(module).values():
        yield from (each for each in (value if type(value) in (list, tuple) else [value]) if isinstance(each, _ALL))


def _definitions(objects: Collection[object]) -> dg.Definitions:
    checks = [each for each in objects if isinstance(each, dg.AssetChecksDefinition)]
    return dg.Definitions(
        assets=[each for each in objects if isinstance(each, _ASSETS) and each not in checks],
        asset_checks=checks,
        jobs=[each for each in objects if isinstance(each, _JOBS)],
        schedules=[each for each in objects if isinstance(each, dg.ScheduleDefinition)],
        sensors=[each for each in objects if isinstance(each, dg.SensorDefinition)],
    )
