"""The mock provider and the load, against each other over a real socket."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from benchmarks.chaos.provider import ChaosProvider, Moment, serving
from benchmarks.http_load import ChatCaller, streamed_text, whole_text
from benchmarks.jobs import Job, Sample, Unanswered, run_job
from benchmarks.provider import HOST, answer_at_once, provider_app
from benchmarks.wire import ANSWER, MODEL, request_body, unique_prompt
from workers.embedded.ports import free_port


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    runner = web.AppRunner(provider_app(answer_at_once()), access_log=None)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, HOST, port).start()
    yield f"http://{HOST}:{port}/v1"
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("stream", [False, True])
async def test_every_request_is_answered_in_full(base_url: str, session: aiohttp.ClientSession, stream: bool) -> None:
    call = ChatCaller(session, base_url, "none", MODEL, stream=stream)
    samples = await run_job(Job(concurrency=4, requests=12, seconds=30), call)
    assert (len(samples.total), samples.errors, samples.first_error) == (12, 0, None)
    assert all(0 < first <= total for first, total in zip(samples.first, samples.total, strict=True))


async def test_answers_have_55_tokens_and_58_events(base_url: str, session: aiohttp.ClientSession) -> None:
    body = request_body("How was the harbour?", MODEL, stream=True)
    async with session.post(f"{base_url}/chat/completions", json=body) as response:
        received = await response.read()
    assert received.count(b"data: {") == 58
    assert streamed_text(received) == ANSWER
    async with session.post(f"{base_url}/chat/completions", json={**body, "stream": False}) as response:
        received = await response.read()
        assert whole_text(received) == ANSWER
        assert (await response.json())["usage"] == {"prompt_tokens": 4, "completion_tokens": 55, "total_tokens": 59}


async def test_what_is_not_answered_rightly_counts_as_an_error(base_url: str, session: aiohttp.ClientSession) -> None:
    call = ChatCaller(session, base_url.removesuffix("/v1"), "none", MODEL, stream=False)
    samples = await run_job(Job(concurrency=2, requests=3, seconds=30), call)
    assert samples.errors == 3
    assert samples.first_error is not None
    assert "404" in samples.first_error


async def test_no_request_begins_after_the_jobs_time() -> None:
    async def call() -> Sample:
        raise Unanswered("never asked")

    samples = await run_job(Job(concurrency=3, requests=5, seconds=0), call)
    assert (samples.errors, samples.total) == (0, [])


@pytest.mark.parametrize("cut", [b"data: [DONE]", b'"usage"'])
def test_a_stream_without_its_end_or_usage_has_no_text(cut: bytes) -> None:
    whole = (
        b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\ndata: {"choices":[],"usage":{"a":1}}\n\ndata: [DONE]\n\n'
    )
    assert streamed_text(whole) == "hi"
    assert streamed_text(whole.replace(cut, b'data: {"x":1}' if cut.startswith(b"data") else b'"y"')) == ""


@pytest.mark.parametrize(
    ("moment", "stream", "springs"),
    [
        (Moment.ARRIVAL, False, True),
        (Moment.MIDSTREAM, True, True),
        (Moment.MIDSTREAM, False, False),
        (Moment.ANSWERED, False, True),
        (Moment.ANSWERED, True, True),
    ],
)
async def test_the_chaos_provider_counts_calls_and_springs_its_trap_once(
    session: aiohttp.ClientSession, moment: Moment, stream: bool, springs: bool
) -> None:
    provider, sprung = ChaosProvider(random.Random(7), longest_pause_s=0.0), []
    async with serving(provider) as base_url:
        provider.arm(moment, lambda: sprung.append(moment))
        for _ in range(2):
            body = request_body(f"chaos-a-b {unique_prompt(random.Random(7))}", MODEL, stream=stream)
            async with session.post(f"{base_url}/chat/completions", json=body) as response:
                received = await response.read()
            assert (streamed_text if stream else whole_text)(received) == ANSWER
    assert provider.calls == {"chaos-a-b": 2}
    assert sprung == [moment] * springs
