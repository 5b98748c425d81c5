"""The asynchronous client; test_document.py holds its methods to those of the other."""

import asyncio
import logging
from typing import Any

import pytest

from crosstower.client import AsyncClient, ListResponse, ProblemError, UnreachableError

from ..serving.http.client import LISTING
from .conftest import BUSY, TOKEN, Script, response

NO_WAIT: dict[str, Any] = {"max_retry_wait": 0.01}


def test_lists_at_the_same_time(address: str) -> None:
    async def lists() -> list[ListResponse]:
        async with AsyncClient(address, token=TOKEN, max_connections=3) as client:
            calls = [client.recommend(user=n, k=n) for n in range(1, 9)]
            return await asyncio.gather(*calls)

    assert [len(found.items) for found in asyncio.run(lists())] == [*range(1, 9)]


def test_rows_are_written_in_parts(address: str) -> None:
    async def written() -> tuple[int, int]:
        async with AsyncClient(address, token=TOKEN) as client:
            rows = [LISTING | {"listing_id": 3 * 10**6 + n} for n in range(7)]
            put = await client.put_items(rows)
            deleted = await client.delete_items(row["listing_id"] for row in rows)
            return put.items, deleted.items

    assert asyncio.run(written()) == (7, 7)


def test_each_operation(address: str) -> None:
    async def all_of_them() -> None:
        async with AsyncClient(address, token=TOKEN) as client:
            assert (await client.health()).status == "ok"
            version = (await client.ready()).version
            assert (await client.model()).version == version
            assert (await client.versions()).base == version
            assert (await client.experiments()).experiments == []
            assert "crosstower_items" in await client.metrics()
            assert len((await client.rank(items=[1, 2])).items) == 2
            assert len((await client.similar(item=7, k=3)).items) == 3
            users = [{"user_id": n, "home_city": "Rome"} for n in (911, 912, 913)]
            assert (await client.put_users(users)).users == 3
            assert (await client.get_user(911)).trained is False
            assert (await client.add_events([{"event_id": "a1", "type": "click"}])).stored == 1
            assert (await client.delete_users([911, 912, 913])).users == 3
            for refused in (
                client.search(text="sea"),  # the bundle has no text
                client.put_vectors([{"id": 1, "vector": [1.0]}], weights="none"),
                client.swap("/nowhere"),
                client.experiment_report(),
            ):
                with pytest.raises(ProblemError):
                    await refused

    asyncio.run(all_of_them())


def test_faults_are_as_those_of_the_other_client(script: Script) -> None:
    listed = response("200 OK", b'{"request_id": "r", "version": "v", "items": []}')
    server = script(BUSY, listed, b"", listed, b"")

    async def sent() -> None:
        async with AsyncClient(server.address, **NO_WAIT) as client:
            assert (await client.recommend(user=1)).items == []
            assert (await client.rank(items=[1])).items == []
            with pytest.raises(UnreachableError, match="check the address"):
                await client.swap("/bundle")

    asyncio.run(sent())
    assert len(server.requests) == 5


def test_a_task_can_be_cancelled(script: Script) -> None:
    server = script(None)

    async def cancelled() -> None:
        async with AsyncClient(server.address) as client:
            async with asyncio.timeout(0.3):
                await client.rank(items=[1])

    with pytest.raises(TimeoutError):
        asyncio.run(cancelled())


def test_the_token_is_nowhere_to_be_seen(caplog: pytest.LogCaptureFixture, script: Script) -> None:
    server = script(response("200 OK", b'{"status": "ok"}'))

    async def shown() -> str:
        async with AsyncClient(server.address, token=TOKEN) as client:
            await client.health()
            return f"{client!r} {vars(client)} {vars(client._http)}"

    with caplog.at_level(logging.DEBUG):
        text = asyncio.run(shown())
    assert TOKEN not in text + caplog.text
    assert TOKEN.encode() in server.requests[0]
