"""A typed client of the server, synchronous and asynchronous. No torch.

Needs the extra `client`: `pip install 'crosstower[client]'`. The names below are public; `requests`
and `rules` hold the types of requests.
"""

from importlib.util import find_spec

if find_spec("httpx") is None or find_spec("tenacity") is None:
    raise ImportError(
        "crosstower.client needs the packages httpx and tenacity; install them with:"
        " pip install 'crosstower[client]'"
    )

from crosstower.client.async_client import AsyncClient
from crosstower.client.client import Client
from crosstower.client.errors import (
    ClientError,
    Fault,
    Problem,
    ProblemError,
    UnexpectedResponseError,
    UnreachableError,
)
from crosstower.client.model_responses import (
    Attribute,
    BlendSummary,
    ExperimentReportResponse,
    ExperimentsResponse,
    ExperimentSummary,
    JournalLine,
    Limits,
    ModelResponse,
    Named,
    Shop,
    VersionsSummary,
    VersionSummary,
)
from crosstower.client.requests import (
    Event,
    ItemVector,
    RankRequest,
    RecommendRequest,
    SearchRequest,
    SimilarRequest,
)
from crosstower.client.responses import (
    Candidate,
    ErasedResponse,
    EventsResponse,
    Explained,
    Health,
    HistoryItem,
    ItemsResponse,
    ListItem,
    ListResponse,
    SourceHit,
    Stages,
    SwapResponse,
    UserResponse,
    UsersResponse,
    VectorsResponse,
)
from crosstower.client.rules import BlendOverride, Epsilon, PlackettLuce, RequestRules, Thompson

__all__ = [
    "AsyncClient",
    "Attribute",
    "BlendOverride",
    "BlendSummary",
    "Candidate",
    "Client",
    "ClientError",
    "Epsilon",
    "ErasedResponse",
    "Event",
    "EventsResponse",
    "ExperimentReportResponse",
    "ExperimentSummary",
    "ExperimentsResponse",
    "Explained",
    "Fault",
    "Health",
    "HistoryItem",
    "ItemVector",
    "ItemsResponse",
    "JournalLine",
    "Limits",
    "ListItem",
    "ListResponse",
    "ModelResponse",
    "Named",
    "PlackettLuce",
    "Problem",
    "ProblemError",
    "RankRequest",
    "RecommendRequest",
    "RequestRules",
    "SearchRequest",
    "Shop",
    "SimilarRequest",
    "SourceHit",
    "Stages",
    "SwapResponse",
    "Thompson",
    "UnexpectedResponseError",
    "UnreachableError",
    "UserResponse",
    "UsersResponse",
    "VectorsResponse",
    "VersionSummary",
    "VersionsSummary",
]
