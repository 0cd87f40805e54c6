"""Drives the surface with the stock MCP client of Python.

stock.py URL KEY MODE: MODE is auto (what the client finds out: the newest
revision) or legacy (with initialize). Prints "ok NAME" or "failed NAME why".
"""

import asyncio
import json
import sys
import traceback

import httpx2
import mcp
from mcp.client.streamable_http import streamable_http_client

url, key, mode = sys.argv[1:4]
cases = []


def case(f):
    cases.append(f)
    return f


def equal(got, want):
    assert got == want, f"{got!r} instead of {want!r}"


def data(result):
    """The structured content of a tool's result, which its text repeats."""
    assert not result.is_error, result.content
    equal(json.loads(result.content[0].text), result.structured_content)
    return result.structured_content


@case
async def revision(client):
    equal(client.protocol_version, {"auto": "2026-07-28", "legacy": "2025-11-25"}[mode])
    equal(client.server_info.name, "leat")
    assert "handbook" in client.instructions, client.instructions


@case
async def tools(client):
    listed = (await client.list_tools()).tools
    equal([t.name for t in listed], ["ask", "fetch", "read_source", "search", "search_documents", "verify_quote"])
    for t in listed:
        assert t.annotations.read_only_hint and t.output_schema and t.description, t
    # What connectors for deep research look for: one string each.
    for name, argument in (("search", "query"), ("fetch", "id")):
        schema = next(t for t in listed if t.name == name).input_schema
        equal((list(schema["properties"]), schema["required"], schema["properties"][argument]["type"]), ([argument], [argument], "string"))


@case
async def search_and_fetch(client):
    found = data(await client.call_tool("search", {"query": "hotels"}))["results"]
    equal(len(found), 4)
    for r in found:
        assert {"id", "title", "url"} <= set(r), r
        document = data(await client.call_tool("fetch", {"id": r["id"]}))
        equal({"id", "title", "text", "url", "metadata"}, set(document))
        equal((document["id"], document["text"]), (r["id"], r["text"]))


@case
async def read_and_verify(client):
    p = data(await client.call_tool("search_documents", {"query": "hotels", "knowledge": "handbook", "top_k": 1}))["passages"][0]
    part = data(await client.call_tool("read_source", {"id": p["id"], "start": p["start"], "end": p["end"]}))
    equal(part["text"], p["text"])
    equal(data(await client.call_tool("verify_quote", {"id": p["id"], "quote": p["text"][3:20]}))["verified"], True)
    equal(data(await client.call_tool("verify_quote", {"id": p["id"], "quote": "not there"}))["verified"], False)


@case
async def ask(client):
    a = data(await client.call_tool("ask", {"question": "What does it cost?", "assistant": "guide"}))
    assert a["answer"].endswith("[1].") and a["citations"][0]["verified"], a


@case
async def resources(client):
    templates = (await client.list_resource_templates()).resource_templates
    equal([t.uri_template for t in templates], ["source://{+id}"])
    equal((await client.list_resources()).resources, [])
    for r in data(await client.call_tool("search_documents", {"query": "hotels", "knowledge": "handbook"}))["passages"]:
        if not r["url"].startswith("source://"):
            continue
        equal((await client.read_resource(r["url"])).contents[0].text, r["text"])


@case
async def mistakes(client):
    result = await client.call_tool("search_documents", {"query": "x", "top_k": 1000})
    assert result.is_error and "100" in result.content[0].text, result
    try:
        await client.read_resource("source://handbook/none.md")
    except mcp.MCPError as e:
        equal(e.error.code, -32602 if mode == "auto" else -32002)
    else:
        raise AssertionError("a resource that is not there was read")


async def main():
    # The client's own wait is for servers that stream; here each answer is whole.
    http = httpx2.AsyncClient(headers={"Authorization": "Bearer " + key}, timeout=30)
    async with http, mcp.Client(streamable_http_client(url + "/mcp", http_client=http), mode=mode) as client:
        for f in cases:
            try:
                await f(client)
                print("ok", f.__name__, flush=True)
            except Exception:
                print("failed", f.__name__, traceback.format_exc().replace("\n", "\\n"), flush=True)


asyncio.run(main())
