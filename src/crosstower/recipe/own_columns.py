"""Names of internal columns in frames, separate from those of users.

A cleaned frame has schema columns under their own names, and all others under names that start
with `MARK`. Schema names must not start with that character, so names never collide. A scored
frame is for users: its scores have readable names, and raw columns with these names are refused.
"""

from collections.abc import Collection, Iterable

from crosstower.errors import DataError

MARK = "\0"
ROW = f"{MARK}row"
SPLIT = f"{MARK}split"
GROUP = f"{MARK}group"


def raw_name(column: str) -> str:
    """Return the name of a data column in its raw form."""
    return f"{MARK}raw:{column}"


def label_name(task: str) -> str:
    """Return the name of a task's labels."""
    return f"{MARK}label:{task}"


def weight_name(task: str) -> str:
    """Return the name of the rows' weights in a task's loss."""
    return f"{MARK}weight:{task}"


def truth_name(task: str) -> str:
    """Return the name of a task's true probabilities."""
    return f"{MARK}truth:{task}"


def amount_name(column: str) -> str:
    """Return the name of a validated amount column."""
    return f"{MARK}amount:{column}"


def time_name(column: str) -> str:
    """Return the name of a parsed time column."""
    return f"{MARK}time:{column}"


def ages_name(column: str) -> str:
    """Return the name of the ages of a list's values, in seconds before the row."""
    return f"{MARK}ages:{column}"


def aged_column(name: str) -> str:
    """Return the column of a list, given its name or the name of its ages.

    >>> aged_column(ages_name("had")), aged_column("had")
    ('had', 'had')
    """
    return name.removeprefix(ages_name(""))


def part_name(column: str, number: int) -> str:
    """Return the name of one of the values that a column is computed from."""
    return f"{MARK}part:{number}:{column}"


PREDICTION, RAW, BLEND_SCORE = "__prediction", "__raw", "blend__score"


def check_kept(columns: Iterable[str], tasks: Iterable[str], *, where: str, advice: str) -> None:
    """Reject raw columns with the name of a score column.

    Args:
        columns: data columns to keep next to the scores.
        tasks: tasks of the schema.
        where: start of the message, such as the file or the key of the recipe.
        advice: the remedy, appended to the message.

    Raises:
        DataError: a column has a reserved name.

    """
    own = {BLEND_SCORE: "the score of a blend"}
    for task in tasks:
        own[f"{task}{PREDICTION}"] = f"the predictions of task '{task}'"
        own[f"{task}{RAW}"] = f"the predictions of task '{task}' before calibration"
    for name in columns:
        if name in own:
            raise DataError(f"{where}: column '{name}' is reserved for {own[name]}; {advice}")


def attribute_names(attributes: Collection[str], taken: Collection[str]) -> dict[str, str]:
    """Return the column name of each attribute in a list of items.

    `__item` is appended to attributes whose name the list itself uses, such as `score`.

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
