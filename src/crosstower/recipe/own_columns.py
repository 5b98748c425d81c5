"""Names of our own columns in frames, apart from those of users.

A cleaned frame holds schema columns under their own names, and everything else under a name that
begins with `MARK`. A schema may not use that character at the start of a name, so the two never
meet, whatever the data's columns are called. A scored frame is for users: scores have readable
names there, and a raw column of such a name is refused.
"""

from collections.abc import Collection, Iterable

from crosstower.errors import DataError

MARK = "\0"
ROW = f"{MARK}row"
SPLIT = f"{MARK}split"


def raw_name(column: str) -> str:
    """Return the name of a data column kept as it was."""
    return f"{MARK}raw:{column}"


def label_name(task: str) -> str:
    """Return the name of a task's labels."""
    return f"{MARK}label:{task}"


def truth_name(task: str) -> str:
    """Return the name of a task's true probabilities."""
    return f"{MARK}truth:{task}"


def amount_name(column: str) -> str:
    """Return the name of a data column checked as an amount."""
    return f"{MARK}amount:{column}"


def time_name(column: str) -> str:
    """Return the name of a data column read as time."""
    return f"{MARK}time:{column}"


def place_name(column: str, number: int) -> str:
    """Return the name of one of the four coordinates of a distance column."""
    return f"{MARK}place:{number}:{column}"


PREDICTION, RAW, BLEND_SCORE = "__prediction", "__raw", "blend__score"


def check_kept(columns: Iterable[str], tasks: Iterable[str], *, where: str, advice: str) -> None:
    """Refuse raw columns with the name of a score column.

    Args:
        columns: of the data, to keep beside scores.
        tasks: of the schema.
        where: what the message begins with, such as the file or the key of the recipe.
        advice: what to do about it.

    Raises:
        DataError: names the column and what has its name.

    """
    own = {BLEND_SCORE: "the score of a blend"}
    for task in tasks:
        own[f"{task}{PREDICTION}"] = f"the predictions of task '{task}'"
        own[f"{task}{RAW}"] = f"the predictions of task '{task}' before calibration"
    for name in columns:
        if name in own:
            raise DataError(
                f"{where}: column '{name}' already exists, a name kept for {own[name]}; {advice}"
            )


def attribute_names(attributes: Collection[str], taken: Collection[str]) -> dict[str, str]:
    """Return {attribute: its name in a list of items}.

    An attribute of a name that the list has itself, such as `score`, gets `__item` added.

    >>> attribute_names(["title", "score"], ["rank", "item_id", "score"])
    {'title': 'title', 'score': 'score__item'}
    """
    names, used = dict[str, str](), {*attributes, *taken}
    for name in attributes:
        shown = name
        while shown in taken or (shown != name and shown in used):
            shown += "__item"
        names[name] = shown
        used.add(shown)
    return names
