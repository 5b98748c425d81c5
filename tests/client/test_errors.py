import pickle

import pytest

from crosstower.client import (
    ClientError,
    Fault,
    ProblemError,
    UnexpectedResponseError,
    UnreachableError,
)
from crosstower.errors import CrosstowerError


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("words", sent=False),
        UnexpectedResponseError("words", status=502, retry_after=1.0),
        ProblemError(
            "words",
            status=422,
            title="Unprocessable Content",
            detail="words",
            errors=[Fault(where="body.k", problem="too large")],
            trace_id="0af7",
            request_id="5f1c",
        ),
    ],
)
def test_errors_survive_pickling_as_between_processes(error: ClientError) -> None:
    error.done = 7
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error)
    assert (str(found), vars(found)) == (str(error), vars(error))
    assert isinstance(found, CrosstowerError)
