"""Asks a whole server with the stock OpenAI and Cohere clients.

    ask.py URL PROJECT

Prints "ok NAME" or "failed NAME why" for each case. The project and what its
language models answer stand in openai_test.go.
"""

import hashlib
import sys
import traceback

import cohere
import httpx
import openai
from openai import AzureOpenAI, OpenAI

url, project = sys.argv[1:]
client = OpenAI(base_url=url + "/v1", api_key="unused", max_retries=0)
azure = AzureOpenAI(azure_endpoint=url, api_key="unused", api_version="2024-10-21", max_retries=0)
hotels = [{"role": "user", "content": "How much may a hotel cost a night?"}]


def raises(kind, call):
    try:
        call()
    except kind as e:
        return e
    raise AssertionError("nothing was raised")


def proven(content, annotation):
    """Holds a citation against the document on the disk, and against its proof."""
    span = annotation.leat
    document = open(f"{project}/{span['source']}", "rb").read()
    quote = document[span["byte_start"] : span["byte_end"]]
    assert quote.decode() == span["quote"] and span["verified"] is True, span
    assert hashlib.sha256(quote).hexdigest() == span["quote_sha256"], span
    assert hashlib.sha256(document).hexdigest() == span["source_version"], span
    place = annotation.url_citation
    assert 0 <= place.start_index < place.end_index <= len(content)
    proof = httpx.get(url + place.url).json()
    assert proof["verified"] and proof["current"], proof


def models():
    ids = [m.id for m in client.models.list()]
    assert ids == ["helpdesk", "writer", "gpt", "poor", "ranker", "torn", "vectors"], ids
    assert client.models.retrieve("gpt").owned_by == "leat"
    raises(openai.NotFoundError, lambda: client.models.retrieve("nothing"))
    both = httpx.get(url + "/v1/models").json()
    assert both["object"] == "list" and both["models"] == [], both


def extractive():
    r = client.chat.completions.create(model="helpdesk", messages=hotels)
    m = r.choices[0].message
    assert "180 €" in m.content and m.annotations, r
    for a in m.annotations:
        proven(m.content, a)
    assert any("180 €" in a.leat["quote"] for a in m.annotations)
    assert r.leat["abstained"] is False and all(s["supported"] for s in r.leat["sentences"]), r.leat
    decision = httpx.get(url + "/v1/decisions/" + r.leat["decision"]).json()
    assert decision["endpoint"] == "helpdesk", decision


def streamed():
    text, annotations, last = "", [], None
    for chunk in client.chat.completions.create(model="helpdesk", messages=hotels, stream=True, stream_options={"include_usage": True}):
        for c in chunk.choices:
            text += c.delta.content or ""
            annotations += [openai.types.chat.chat_completion_message.Annotation.construct(**a) for a in (getattr(c.delta, "annotations", None) or [])]
        last = chunk
    whole = client.chat.completions.create(model="helpdesk", messages=hotels).choices[0].message
    assert text == whole.content and last.usage is not None, text
    assert len(annotations) == len(whole.annotations), annotations


def conversation():
    r = client.chat.completions.create(model="helpdesk", messages=hotels + [{"role": "assistant", "content": "180 € a night."}, {"role": "user", "content": "And when is business class allowed on flights?"}])
    assert "six hours" in r.choices[0].message.content, r.choices[0].message.content


def abstains():
    r = client.chat.completions.create(model="helpdesk", messages=[{"role": "user", "content": "Who won the chess tournament of Reykjavik?"}])
    assert r.leat["abstained"] is True and not r.choices[0].message.annotations, r


def written():
    r = client.chat.completions.create(model="writer", messages=hotels)
    m = r.choices[0].message
    assert "180 €" in m.content and r.leat["model"] != "extractive", r
    for a in m.annotations:
        proven(m.content, a)
    assert m.annotations and r.usage.cost > 0, r.usage


def responses():
    r = client.responses.create(model="helpdesk", input="How many days of leave does an employee have?", include=["file_search_call.results"])
    assert "thirty days" in r.output_text, r.output_text
    assert r.output[0].results[0].filename == "leave.md" and r.output[1].content[0].annotations[0].file_id == "docs/leave.md", r.output
    events = list(client.responses.create(model="helpdesk", input="How many days of leave does an employee have?", stream=True))
    assert events[-1].type == "response.completed" and events[-1].response.output_text == r.output_text


def on_your_data():
    source = {"type": "azure_search", "parameters": {"endpoint": "https://x.search.windows.net", "index_name": "manual", "authentication": {"type": "api_key", "key": "x"}}}
    r = azure.chat.completions.create(model="gpt", messages=hotels, extra_body={"data_sources": [source]})
    m = r.choices[0].message
    assert "[doc" in m.content and r.leat["model"] != "extractive", m
    number = int(m.content.split("[doc")[1].split("]")[0])
    assert "180 €" in m.context["citations"][number - 1]["content"], m.context


def gateway():
    r = client.chat.completions.with_raw_response.create(model="gpt", messages=hotels)
    assert r.headers["x-litellm-call-id"] and float(r.headers["x-litellm-response-cost"]) > 0, r.headers
    answer = r.parse()
    assert answer.choices[0].message.content == "A hotel may cost at most 180 € a night [1]." and answer.usage.cost > 0
    chunks = list(client.chat.completions.create(model="gpt", messages=hotels, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == answer.choices[0].message.content
    assert chunks[-1].usage.cost > 0 and chunks[-1].usage.prompt_tokens > 0
    assert client.responses.create(model="gpt", input="hi").output_text == answer.choices[0].message.content


def torn():
    e = raises(openai.APIError, lambda: list(client.chat.completions.create(model="torn", messages=hotels, stream=True)))
    assert not isinstance(e, openai.APIConnectionError), e
    body = httpx.post(url + "/v1/chat/completions", json={"model": "torn", "messages": hotels, "stream": True}).text
    assert '"error"' in body and "[DONE]" not in body, body


def budget():
    e = raises(openai.RateLimitError, lambda: client.chat.completions.create(model="poor", messages=hotels))
    assert e.code == "insufficient_quota" and e.response.headers["x-should-retry"] == "false", e.body


def embeddings():
    r = client.embeddings.create(model="vectors", input=["one", "two", "one"])
    assert r.data[0].embedding == r.data[2].embedding != r.data[1].embedding and len(r.data[0].embedding) > 1


def vector_stores():
    stores = list(client.vector_stores.list())
    assert [s.id for s in stores] == ["manual"] and stores[0].status == "completed" and stores[0].file_counts.completed == 3, stores
    found = client.vector_stores.search("manual", query="hotel night")
    hit = found.data[0]
    assert hit.file_id == "docs/travel.md" and "180 €" in hit.content[0].text, found
    document = open(f"{project}/{hit.file_id}", "rb").read()
    assert document[hit.leat["byte_start"] : hit.leat["byte_end"]].decode() == hit.content[0].text
    assert hashlib.sha256(document).hexdigest() == hit.leat["source_version"]
    secret = client.vector_stores.search("manual", query="salary of the director")
    assert not any("secret" in h.file_id for h in secret.data), secret


def rerank():
    r = cohere.ClientV2(api_key="unused", base_url=url).rerank(model="ranker", query="hotel night", documents=["a train", "a hotel for the night"], top_n=1)
    assert [x.index for x in r.results] == [1], r


for case in [models, extractive, streamed, conversation, abstains, written, responses, on_your_data, gateway, torn, budget, embeddings, vector_stores, rerank]:
    try:
        case()
        print("ok", case.__name__, flush=True)
    except Exception:
        print("failed", case.__name__, traceback.format_exc().replace("\n", "\\n"), flush=True)
