"""Rules from directories: everything that is wrong is said at once, each with its file and line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from citywatch.errors import Place, RuleError, RuleErrors
from citywatch.rules.build import build_rules
from citywatch.rules.document import read_documents
from citywatch.rules.draft import Draft, read_draft
from citywatch.rules.lists import load_lists
from citywatch.rules.model import Ruleset
from citywatch.rules.predicate import Compiler
from citywatch.rules.problems import Problems
from citywatch.rules.zones import load_zones
from citywatch.settings import Settings


def shipped() -> Path:
    """Directory of the rules that come with citywatch."""
    import citywatch.packs  # noqa: PLC0415 - a package of data, found only when asked for

    return Path(next(iter(citywatch.packs.__path__)))


def load_rules(paths: Sequence[Path], settings: Settings, *, run_tests: bool = True) -> Ruleset:
    """Load all rules of files and directories, with the lists and zones beside them.

    Parameters
    ----------
    paths
        Directories, searched through for `*.yaml` and `*.yml`, or single files. Of lists and zones with one name, that
        of the later directory counts; a rule's name and id must be unique over all.
    settings
        Parameters of rules, and the city's zone for lists.
    run_tests
        Also run the tests inside the rules: a rule whose tests fail does not load.

    Raises
    ------
    RuleErrors
        All that is wrong.
    """
    problems = Problems()
    ruleset = _load(paths, settings, problems)
    if run_tests and not problems.errors:
        from citywatch.rules.testing import failures  # noqa: PLC0415 - the engine is only needed to run tests

        tested = ruleset if settings == Settings() else _load(paths, Settings(), problems)
        problems.errors += failures(tested)
    if problems.errors:
        raise RuleErrors(sorted(problems.errors, key=_by_place))
    return ruleset


def rule_files(path: Path) -> Iterator[Path]:
    """The rule files that a path stands for. Raises RuleError when there is nothing there."""
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        raise RuleError("there is no such directory of rules", where=Place(path))
    for file in sorted(path.rglob("*.y*ml")):
        hidden = any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
        if file.suffix in {".yaml", ".yml"} and file.is_file() and not hidden:
            yield file


def _load(paths: Sequence[Path], settings: Settings, problems: Problems) -> Ruleset:
    directories = [path if path.is_dir() else path.parent for path in paths]
    drafts = list(_drafts(paths, settings, problems))
    lists = load_lists(directories, settings.zone, problems)
    zones = load_zones(directories, problems)
    compiler = Compiler(lists, zones)
    rules = build_rules(drafts, compiler, problems)
    return Ruleset(rules, lists.tables(), zones)


def _drafts(paths: Sequence[Path], settings: Settings, problems: Problems) -> Iterator[Draft]:
    for path in paths:
        try:
            files = list(rule_files(path))
        except (RuleError, OSError) as error:
            problems.errors.append(error if isinstance(error, RuleError) else RuleError(str(error), where=Place(path)))
            continue
        for file in files:
            try:
                documents = read_documents(file)
            except RuleError as error:
                problems.errors.append(error)
                continue
            for number, node in enumerate(documents, 1):
                if draft := read_draft(node, file, number, settings.params, problems):
                    yield draft


def _by_place(error: RuleError) -> tuple[str, int]:
    return (str(error.where.file), error.where.line) if error.where else ("", 0)
