"""Drives a server with the stock OpenAI client.

    stock.py URL [CASE…]

Prints "ok NAME" or "failed NAME why" for each case. What the server's models
answer stands in world_test.go.
"""

import asyncio
import base64
import os
import struct
import sys
import time
import traceback

import openai
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel

url = sys.argv[1]
key = os.environ.get("LEAT_KEY", "sk-unused")
client = OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
azure = AzureOpenAI(azure_endpoint=url, api_key=key, api_version="2024-10-21", max_retries=0)
foundry = OpenAI(base_url=url + "/openai/v1/", api_key=key, max_retries=0, default_query={"api-version": "preview"})
hi = [{"role": "user", "content": "hi"}]


def raises(kind, call):
    try:
        call()
    except kind as e:
        return e
    raise AssertionError("nothing was raised")


def chat():
    for c in (client, azure, foundry):
        r = c.chat.completions.create(model="gpt", messages=hi, temperature=0, extra_body={"made_up": 1})
        assert r.choices[0].message.content == "You said: hi", r
        assert r.choices[0].finish_reason == "stop" and r.model == "gpt-2026"
        assert r.usage.total_tokens == 12 and r.usage.prompt_tokens_details.cached_tokens == 3 and r.usage.completion_tokens_details.reasoning_tokens == 1
        assert r.usage.cost == 0.00125, r.usage


def chat_n():
    r = client.chat.completions.create(model="gpt", messages=hi, n=3)
    assert [c.index for c in r.choices] == [0, 1, 2] and all(c.message.content == "You said: hi" for c in r.choices)


def chat_streams():
    for c in (client, azure, foundry):
        chunks = list(c.chat.completions.create(model="gpt", messages=hi, stream=True, stream_options={"include_usage": True}))
        assert "".join(d.choices[0].delta.content or "" for d in chunks if d.choices) == "You said: hi"
        assert chunks[0].choices[0].delta.role == "assistant" and chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens == 12, chunks[-1]
        assert all(d.usage is None for d in chunks[:-1]) and len({d.id for d in chunks}) == 1


def chat_streams_helper():
    with client.chat.completions.stream(model="gpt", messages=hi) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "You said: hi"
    assert any(e.type == "content.done" for e in events)


def chat_async():
    async def ask():
        async with AsyncOpenAI(base_url=url + "/v1", api_key=key, max_retries=0) as c:
            text = ""
            async for d in await c.chat.completions.create(model="handbook", messages=hi, stream=True):
                if d.choices:
                    text += d.choices[0].delta.content or ""
            return text

    assert asyncio.run(ask()).startswith("Müller may fly")


def parsed():
    class Out(BaseModel):
        city: str

    tool = openai.pydantic_function_tool(Out, name="weather")
    r = client.chat.completions.parse(model="tools", messages=hi, tools=[tool])
    assert r.choices[0].message.tool_calls[0].function.parsed_arguments == Out(city="Bern")


def tool_calls():
    r = client.chat.completions.create(model="tools", messages=hi)
    calls = r.choices[0].message.tool_calls
    assert [c.function.name for c in calls] == ["weather", "time"] and calls[0].function.arguments == '{"city":"Bern"}'
    assert r.choices[0].finish_reason == "tool_calls" and r.choices[0].message.content is None
    with client.chat.completions.stream(model="tools", messages=hi) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [(c.id, c.function.name, c.function.arguments) for c in calls] == [("call_1", "weather", '{"city":"Bern"}'), ("call_2", "time", "{}")]
    back = hi + [{"role": "assistant", "tool_calls": [c.model_dump() for c in r.choices[0].message.tool_calls]}, {"role": "tool", "tool_call_id": "call_1", "content": "sun"}]
    assert client.chat.completions.create(model="gpt", messages=back).choices[0].message.content == "You said: sun"


def assistant():
    r = client.chat.completions.create(model="handbook", messages=hi)
    m = r.choices[0].message
    first = m.annotations[0]
    assert m.content[first.url_citation.start_index : first.url_citation.end_index].endswith("six hours [1].")
    assert first.url_citation.url == "https://intra.example/air" and first.leat["verified"] is True and len(first.leat["source_version"]) == 64
    assert r.leat["sentences"][0]["supported"] is True


def on_your_data():
    source = {"type": "azure_search", "parameters": {"endpoint": "https://x.search.windows.net", "index_name": "docs", "authentication": {"type": "api_key", "key": "secret"}}}
    r = azure.chat.completions.create(model="some-deployment", messages=hi, extra_body={"data_sources": [source]})
    m = r.choices[0].message
    assert m.content.endswith("six hours [doc2]. Trains are first class [doc1]."), m.content
    assert [c["filepath"] for c in m.context["citations"]] == ["rail.md", "travel/air.md"] and m.context["intent"] == '["flights and trains"]', m.context
    chunks = list(azure.chat.completions.create(model="some-deployment", messages=hi, stream=True, extra_body={"data_sources": [source]}))
    assert chunks[0].choices[0].delta.context["citations"][1]["url"] == "https://intra.example/air"
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == m.content
    e = raises(openai.NotFoundError, lambda: azure.chat.completions.create(model="d", messages=hi, extra_body={"data_sources": [{"type": "azure_search", "parameters": {"index_name": "nothing"}}]}))
    assert e.param == "data_sources", e.body


def models():
    for c in (foundry, azure):
        ids = [m.id for m in c.models.list()]
        assert "handbook" in ids and "gpt" in ids and "llm/twin" in ids, ids
    assert foundry.models.retrieve("handbook").owned_by == "leat"
    assert foundry.models.retrieve("llm/twin").id == "llm/twin"
    raises(openai.NotFoundError, lambda: foundry.models.retrieve("nothing"))


def embeddings():
    for c in (client, azure, foundry):
        r = c.embeddings.create(model="embedder", input=["a", "bcd"])
        assert [[round(x, 6) for x in d.embedding] for d in r.data] == [[1.0, 0.1, -2.0], [3.0, 0.1, -2.0]], r
        assert r.usage.prompt_tokens == 2 and r.data[1].index == 1
    plain = client.embeddings.create(model="embedder", input="abcd", encoding_format="float").data[0].embedding
    assert plain == [4, 0.1, -2], plain
    assert [d.embedding[0] for d in client.embeddings.create(model="embedder", input=[[1, 2], [3]]).data] == [2, 1]
    assert client.embeddings.create(model="embedder", input=[5, 6, 7]).data[0].embedding[0] == 3
    raw = client.embeddings.with_raw_response.create(model="embedder", input="a", encoding_format="base64").http_response.json()
    assert struct.unpack("<3f", base64.b64decode(raw["data"][0]["embedding"]))[0] == 1
    for bad in (["x"] * 2049, "word " * 8193, [[1] * 8193], [[1] * 8192] * 37, [""], []):
        e = raises(openai.BadRequestError, lambda: client.embeddings.create(model="embedder", input=bad))
        assert e.param == "input", e.body


def responses():
    for c in (client, foundry):
        r = c.responses.create(model="gpt", input="hi", instructions="be kind", max_output_tokens=50)
        assert r.output_text == "You said: hi" and r.status == "completed" and r.usage.total_tokens == 12, r
    r = client.responses.create(model="handbook", input=[{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}], include=["file_search_call.results"])
    search, message = r.output
    assert search.type == "file_search_call" and [x.file_id for x in search.results] == ["rail.md", "travel/air.md"] and search.results[0].filename == "rail.md", search
    url_citation, file_citation = message.content[0].annotations
    assert url_citation.type == "url_citation" and r.output_text[url_citation.start_index : url_citation.end_index].endswith("[1].")
    assert file_citation.type == "file_citation" and file_citation.file_id == "rail.md" and file_citation.leat["quote_sha256"] == "d" * 64
    r = client.responses.create(model="tools", input="hi", tools=[{"type": "function", "name": "weather", "parameters": {"type": "object"}}])
    assert [(i.type, i.name, i.arguments) for i in r.output] == [("function_call", "weather", '{"city":"Bern"}'), ("function_call", "time", "{}")]
    back = [{"role": "user", "content": "hi"}] + [i.model_dump(exclude_none=True) for i in r.output] + [{"type": "function_call_output", "call_id": "call_1", "output": "sun"}]
    assert client.responses.create(model="gpt", input=back).output_text == "You said: sun"


def responses_stream():
    for model in ("gpt", "handbook", "tools"):
        events = list(client.responses.create(model=model, input="hi", stream=True))
        assert [e.sequence_number for e in events] == list(range(len(events)))
        kinds = [e.type for e in events]
        assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed", kinds
        done = events[-1].response
        text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
        assert text == done.output_text
        added = [e for e in events if e.type == "response.output_text.annotation.added"]
        assert len(added) == (2 if model == "handbook" else 0)
        for e in added:
            told = e.annotation if isinstance(e.annotation, dict) else e.annotation.model_dump()
            assert done.output[e.output_index].content[e.content_index].annotations[e.annotation_index].model_dump() == told, told
    with client.responses.stream(model="handbook", input="hi") as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text.startswith("Müller")


def responses_broken():
    events = list(client.responses.create(model="torn", input="hi", stream=True))
    assert events[-1].type == "response.failed" and events[-1].response.status == "failed" and events[-1].response.error.message, events[-1]
    assert not any(e.type in ("response.completed", "response.output_text.done") for e in events)


def responses_search():
    tool = {"type": "file_search", "vector_store_ids": ["docs"], "filters": {"type": "eq", "key": "team", "value": "staff"}}
    r = client.responses.create(model="gpt", input="hi", tools=[tool])
    assert r.output_text.startswith("Müller") and r.tools[0].vector_store_ids == ["docs"]
    e = raises(openai.BadRequestError, lambda: client.responses.create(model="handbook", input="hi", tools=[{"type": "file_search", "vector_store_ids": ["secret"]}]))
    assert e.param == "tools"
    e = raises(openai.BadRequestError, lambda: client.responses.create(model="gpt", input="hi", previous_response_id="resp_1"))
    assert e.param == "previous_response_id" and "not kept" in e.message
    raises(openai.NotFoundError, lambda: client.responses.retrieve("resp_1"))


def vector_stores():
    stores = list(client.vector_stores.list())
    assert [s.id for s in stores] == ["docs", "other"] and stores[0].file_counts.failed == 1 and stores[1].status == "in_progress"
    assert client.vector_stores.retrieve("docs").name == "docs"
    found = client.vector_stores.search("docs", query="trains", max_num_results=1, filters={"type": "and", "filters": [{"type": "gte", "key": "year", "value": 2025}, {"type": "in", "key": "team", "value": ["law"]}]})
    hit = found.data[0]
    assert len(found.data) == 1 and hit.file_id == "rail.md" and hit.content[0].text == "Trains are first class." and hit.attributes == {"team": "staff", "year": 2025}, hit
    assert hit.leat["source_version"] == "b" * 64
    raises(openai.NotFoundError, lambda: client.vector_stores.search("nothing", query="x"))


def errors():
    e = raises(openai.NotFoundError, lambda: client.chat.completions.create(model="nothing", messages=hi))
    assert e.code == "model_not_found" and e.param == "model" and e.request_id
    e = raises(openai.BadRequestError, lambda: client.chat.completions.create(model="gpt", messages=[]))
    assert e.param == "messages" and e.type == "invalid_request_error"
    e = raises(openai.BadRequestError, lambda: client.chat.completions.create(model="handbook", messages=hi, response_format={"type": "json_object"}))
    assert e.param == "response_format"
    e = raises(openai.RateLimitError, lambda: client.chat.completions.create(model="limited", messages=hi))
    assert e.code == "rate_limit_exceeded" and e.response.headers["retry-after"] == "7200" and e.response.headers["x-should-retry"] == "false"
    e = raises(openai.APIError, lambda: list(client.chat.completions.create(model="torn", messages=hi, stream=True)))
    assert "broke off" in e.message, e


def retries():
    naps, sleep = [], time.sleep
    time.sleep = lambda s: (naps.append(s), sleep(s))
    r = client.with_options(max_retries=3).chat.completions.with_raw_response.create(model="flaky", messages=hi)
    assert r.retries_taken == 2 and r.parse().choices[0].message.content == "You said: hi"
    time.sleep = sleep
    assert naps == [0.02, 0.02], f"it did not wait as it was told to: {naps}"


def timeouts():
    e = raises(openai.APIStatusError, lambda: client.chat.completions.create(model="slow", messages=hi, extra_headers={"x-litellm-timeout": "0.05"}))
    assert e.status_code == 504, e


def headers():
    r = client.chat.completions.with_raw_response.create(model="gpt", messages=hi)
    assert r.headers["x-litellm-call-id"] == "01CALL" and r.headers["x-ratelimit-remaining-requests"] == "59" and r.headers["openai-processing-ms"]


def refused():
    wrong = OpenAI(base_url=url + "/v1", api_key="leat_wrong", max_retries=0)
    e = raises(openai.AuthenticationError, lambda: wrong.chat.completions.create(model="gpt", messages=hi))
    assert e.code == "invalid_api_key"
    other = AzureOpenAI(azure_endpoint=url, api_key="leat_other", api_version="2024-10-21", max_retries=0)
    raises(openai.PermissionDeniedError, lambda: other.chat.completions.create(model="gpt", messages=hi))


cases = [chat, chat_n, chat_streams, chat_streams_helper, chat_async, parsed, tool_calls, assistant, on_your_data, models, embeddings, responses, responses_stream, responses_broken, responses_search, vector_stores, errors, timeouts, headers]
if key == "sk-unused":
    cases.append(retries)  # what fails does so for the first two calls
else:
    cases.append(refused)
for case in cases:
    if len(sys.argv) > 2 and case.__name__ not in sys.argv[2:]:
        continue
    try:
        case()
        print("ok", case.__name__, flush=True)
    except Exception:
        print("failed", case.__name__, traceback.format_exc().replace("\n", "\\n"), flush=True)
