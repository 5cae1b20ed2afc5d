"""Follows a job's log to its end, also over a connection that is lost again and again."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from kdray.sweep.job_client import JobClient, LostError

Say = Callable[[str], None]
Answer = TypeVar("Answer")
# A connection that says nothing for so long might be dead; a new one costs little.
_QUIET_S = 60.0
_LONGEST_WAIT_S = 30.0


def follow(client: JobClient, job_id: str, show: Say, say: Say) -> Any:
    """Shows a job's log until the job ends.

    Args:
        client: The cluster.
        job_id: The job.
        show: Takes the log, piece by piece, each piece once.
        say: Takes what there is to say about the connection.

    Returns:
        How the job ended, Ray's `JobDetails`.

    Raises:
        ConfigError: If there is no such job.
    """
    return asyncio.run(_follow(client, job_id, show, say))


async def _follow(client: JobClient, job_id: str, show: Say, say: Say) -> Any:
    shown, wait = 0, 1.0
    while True:
        try:
            async with aclosing(_arriving(client, job_id, shown)) as pieces:
                async for piece in pieces:
                    show(piece)
                    shown, wait = shown + len(piece), 1.0
            details = client.get_job_info(job_id)
            if details.status.is_terminal():
                show(client.get_job_logs(job_id)[shown:])
                return details
            wait = 1.0
        except LostError as error:
            say(f"lost the connection ({error}), the sweep goes on; trying again in {wait:.0f} s")
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)


async def _arriving(client: JobClient, job_id: str, skip: int) -> AsyncGenerator[str, None]:
    """Yields a job's log from a place on, until it ends or is quiet.

    Args:
        client: The cluster.
        job_id: The job.
        skip: How many characters to leave out.

    Raises:
        LostError: If the connection breaks.
    """
    async with aclosing(client.tail_job_logs(job_id)) as chunks:
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks), _QUIET_S)
            except (StopAsyncIteration, TimeoutError):
                return
            except Exception as error:  # aiohttp raises many kinds; the next question tells more
                raise LostError(str(error) or type(error).__name__) from None
            if len(chunk) > skip:
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))


def patiently(ask: Callable[[], Answer], say: Say) -> Answer:
    """Returns what the cluster answers, asking again while the connection is lost."""
    wait = 1.0
    while True:
        try:
            return ask()
        except LostError as error:
            say(f"lost the connection ({error}); trying again in {wait:.0f} s")
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_S)
