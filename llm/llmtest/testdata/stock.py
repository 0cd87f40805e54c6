"""Asks the scripted upstream with the stock clients of OpenAI and Anthropic,
and checks what our providers sent it against the clients' own types.

stock.py URL REQUESTS: URL is the upstream's, REQUESTS a file with lines of
{"protocol": ..., "body": ...}. Prints "ok NAME" or "failed NAME why".
"""

import json
import sys
import traceback

import anthropic
import openai
import pydantic
from anthropic.types.message_create_params import MessageCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.embedding_create_params import EmbeddingCreateParams

url, requests = sys.argv[1:3]


def case(name, f):
    try:
        f()
        print("ok", name, flush=True)
    except Exception:
        print("failed", name, traceback.format_exc().replace("\n", "\\n"), flush=True)


def equal(got, want):
    assert got == want, f"{got!r} instead of {want!r}"


TEXT = "It costs 180 \u20ac."
ask = dict(model="test-model", messages=[{"role": "user", "content": "What does it cost?"}], max_tokens=50)
oai = openai.OpenAI(base_url=url + "/v1", api_key="k", max_retries=0, _strict_response_validation=True)
ant = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, _strict_response_validation=True)


def openai_whole():
    a = oai.chat.completions.create(**ask)
    equal(a.choices[0].message.content, TEXT)
    equal([(c.id, c.function.name, c.function.arguments) for c in a.choices[0].message.tool_calls], [("call_a", "search", '{"q":"x"}')])
    equal((a.choices[0].finish_reason, a.usage.prompt_tokens, a.usage.completion_tokens), ("tool_calls", 40, 7))


def openai_stream():
    text, calls, finish, usage = "", "", None, None
    for c in oai.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}):
        usage = c.usage or usage
        for choice in c.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for call in choice.delta.tool_calls or []:
                calls += call.function.arguments or ""
    equal((text, calls, finish, usage.completion_tokens), (TEXT, '{"q":"x"}', "tool_calls", 7))


def openai_embeddings():
    # By default the client asks for base64, and reads it after it has checked types.
    by_default = openai.OpenAI(base_url=url + "/v1", api_key="k", max_retries=0).embeddings.create(model="m", input=["a b", "c"])
    as_floats = oai.embeddings.create(model="m", input=["a b", "c"], encoding_format="float")
    equal((len(by_default.data), by_default.usage.total_tokens), (2, 3))
    for a, b in zip(by_default.data, as_floats.data):
        assert all(abs(x - y) < 1e-6 for x, y in zip(a.embedding, b.embedding)), (a.embedding, b.embedding)


def anthropic_whole():
    a = ant.messages.create(**ask)
    equal([b.type for b in a.content], ["thinking", "text", "tool_use"])
    equal((a.content[1].text, a.content[2].input, a.stop_reason), (TEXT, {"q": "x"}, "tool_use"))
    equal((a.usage.input_tokens, a.usage.cache_read_input_tokens, a.usage.output_tokens), (30, 10, 7))


def anthropic_stream():
    with ant.messages.stream(**ask) as s:
        a = s.get_final_message()
    equal((a.content[1].text, a.content[2].input, a.stop_reason), (TEXT, {"q": "x"}, "tool_use"))
    equal((a.usage.input_tokens, a.usage.output_tokens), (30, 7))


def mistakes(types, body):
    adapter = pydantic.TypeAdapter(types)
    adapter.validate_python(body)


for f in (openai_whole, openai_stream, openai_embeddings, anthropic_whole, anthropic_stream):
    case(f.__name__, f)
kinds = {"openai": CompletionCreateParams, "embeddings": EmbeddingCreateParams, "anthropic": MessageCreateParams}
with open(requests, encoding="utf-8") as lines:
    for i, line in enumerate(lines):
        r = json.loads(line)
        # JSON has no iterables that are not lists, so validation in full is right.
        case(f"request_{i}_{r['protocol']}", lambda: mistakes(kinds[r["protocol"]], r["body"]))
