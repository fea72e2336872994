"""The rules that keep the code small, held by reading it."""

import ast
import inspect
from pathlib import Path

import equinox as eqx
import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "unweave"

# a module or room may import what stands on a lower floor, and nothing on its own
FLOORS = {
    "_cache": -1, "_files": -1, "_libraries": -1, "_programs": -1,
    "_course": 0, "_explicit": 0, "_held": 0, "_join": 0, "_keys": 0, "_latents": 0,
    "_least_squares": 0, "_rows": 0, "_schema": 0, "_transport": 0, "_version": 0, "spread": 0,
    "_noise": 1, "_model": 1, "_replay": 1, "_tensors": 1,
    "_budgets": 2, "_families": 2, "_describe": 2, "_adapt": 2, "_check": 2, "_many": 2, "data": 2,
    "_marginal": 3, "_noising": 3, "_save": 3,
    "edit": 4, "equations": 4, "networks": 4, "evaluate": 4, "show": 4, "targets": 4,
    "track": 4, "train": 4,
    "detect": 5, "explain": 5, "hybrid": 5, "measure": 5, "robust": 5, "sources": 5, "plots": 5,
    "recipes": 6,
    "_estimate": 7, "run": 7,
    "explore": 8, "report": 8, "sklearn": 8,
    "card": 9,
    "cli": 10,
}  # fmt: skip
# the same within the room of equations
EQUATIONS = {
    "_system": 0, "language": 1, "solving": 2, "fitting": 3, "behaviour": 4, "stochastic": 4,
    "_zoo": 5, "_source": 6, "_solved": 6, "discovery": 6,
}  # fmt: skip
FILES = sorted(SOURCE.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(file: Path) -> set[str]:
    """The rooms of unweave that a file imports from, other than its own."""
    parts = file.relative_to(SOURCE).parts
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            up = len(parts) - node.level
            if up == 0 and node.module:
                rooms.add(node.module.split(".")[0])
            elif up == 0:
                rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unweave"):
            rooms.add("an absolute import of unweave")
    return rooms


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_imports_go_to_lower_floors(file):
    room = room_of(file)
    if room == "__init__":
        return
    assert room in FLOORS, f"{room} has no floor"
    for other in imported_rooms(file):
        assert other in FLOORS, f"{file.name} imports {other}, which has no floor"
        assert FLOORS[other] < FLOORS[room], f"{room} imports {other} from its own floor or above"


@pytest.mark.parametrize(
    "file", sorted((SOURCE / "equations").rglob("*.py")), ids=lambda f: f"{f.parent.name}/{f.name}"
)
def test_within_equations_too(file):
    parts = file.relative_to(SOURCE / "equations").parts
    room = parts[0].removesuffix(".py")
    for node in ast.walk(ast.parse(file.read_text())):
        if room == "__init__" or not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        if len(parts) == node.level and node.module:
            other = node.module.split(".")[0]
            assert EQUATIONS[other] < EQUATIONS[room], f"{room} imports {other}"


def test_train_and_networks_do_not_know_each_other():
    for file in FILES:
        if room_of(file) == "train":
            assert "networks" not in imported_rooms(file)
        if room_of(file) == "networks":
            assert "train" not in imported_rooms(file)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_house_style(file):
    text = file.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 400, "a second idea lives in this file"
    assert ast.get_docstring(tree), "a module says what it is"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"hasattr", "eval", "exec"}
        if isinstance(node, ast.Name):
            assert node.id != "NotImplementedError"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
            assert "pickle" not in names
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, "a bare except hides what it did not expect"
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert node.args.kwarg is None, f"{node.name} takes **{node.args.kwarg}"


def all_classes() -> list[type[eqx.Module]]:
    import unweave

    for name in unweave.__all__:
        getattr(unweave, name)
    found, queue = set(), [eqx.Module]
    while queue:
        for kind in queue.pop().__subclasses__():
            if kind.__module__.startswith("unweave") and kind not in found:
                found.add(kind)
            queue.append(kind)
    return sorted(found, key=lambda kind: kind.__qualname__)


def test_every_class_is_abstract_or_final_and_overrides_nothing():
    classes = [k for k in all_classes() if not k.__qualname__.startswith("_Initable")]
    assert len(classes) > 15
    for kind in classes:
        bases = [b for b in kind.__mro__[1:] if b.__module__.startswith("unweave")]
        for base in bases:
            assert inspect.isabstract(base) or base.__name__.startswith("Abstract"), (
                f"{kind.__name__} inherits from {base.__name__}, which is not abstract"
            )
            for name, member in vars(base).items():
                implemented = inspect.isfunction(member) and not getattr(
                    member, "__isabstractmethod__", False
                )
                if implemented and not name.startswith("__"):
                    assert name not in vars(kind), (
                        f"{kind.__name__} overrides {base.__name__}.{name}"
                    )


def test_public_names_are_documented():
    import unweave

    for name in unweave.__all__:
        member = getattr(unweave, name)
        if inspect.isclass(member) or inspect.isfunction(member):
            assert inspect.getdoc(member), f"{name} has no docstring"
