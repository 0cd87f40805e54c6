// Drives a server with the stock OpenAI client for JavaScript.
//
//     node stock.mjs PACKAGE URL
//
// Prints "ok NAME" or "failed NAME why" for each case. What the server's models
// answer stands in world_test.go.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [, , folder, url] = process.argv;
const { default: OpenAI, AzureOpenAI } = createRequire(folder + "/")("openai");
const client = new OpenAI({ baseURL: url + "/v1", apiKey: "sk-unused", maxRetries: 0 });
const azure = new AzureOpenAI({ endpoint: url, apiKey: "unused", apiVersion: "2024-10-21", maxRetries: 0 });
const messages = [{ role: "user", content: "hi" }];

const cases = {
  async chat() {
    for (const c of [client, azure]) {
      const r = await c.chat.completions.create({ model: "gpt", messages });
      assert.equal(r.choices[0].message.content, "You said: hi");
      assert.equal(r.usage.total_tokens, 12);
    }
  },
  async chatStreams() {
    for (const c of [client, azure]) {
      let text = "", last;
      for await (const d of await c.chat.completions.create({ model: "gpt", messages, stream: true, stream_options: { include_usage: true } })) {
        text += d.choices[0]?.delta?.content ?? "";
        last = d;
      }
      assert.equal(text, "You said: hi");
      assert.equal(last.usage.cost, 0.00125);
    }
  },
  async toolCalls() {
    const final = await client.chat.completions.stream({ model: "tools", messages }).finalChatCompletion();
    assert.deepEqual(final.choices[0].message.tool_calls.map((c) => [c.id, c.function.name, c.function.arguments]), [["call_1", "weather", '{"city":"Bern"}'], ["call_2", "time", "{}"]]);
  },
  async assistant() {
    const r = await client.chat.completions.create({ model: "handbook", messages });
    const a = r.choices[0].message.annotations[0];
    assert.equal([...r.choices[0].message.content].slice(a.url_citation.start_index, a.url_citation.end_index).join("").slice(0, 6), "Müller");
    assert.equal(a.leat.verified, true);
  },
  async onYourData() {
    const data_sources = [{ type: "azure_search", parameters: { index_name: "docs" } }];
    let text = "", context;
    for await (const d of await azure.chat.completions.create({ model: "any", messages, stream: true, data_sources })) {
      context ??= d.choices[0].delta.context;
      text += d.choices[0].delta.content ?? "";
    }
    assert.equal(context.citations.length, 2);
    assert.match(text, /\[doc2\].*\[doc1\]/);
  },
  async embeddings() {
    const r = await client.embeddings.create({ model: "embedder", input: ["a", "bcd"] });
    assert.deepEqual(r.data.map((d) => d.embedding.map((x) => Math.round(x * 1e4) / 1e4)), [[1, 0.1, -2], [3, 0.1, -2]]);
  },
  async responses() {
    const r = await client.responses.create({ model: "handbook", input: "hi" });
    assert.match(r.output_text, /^Müller/);
    const kinds = [];
    let text = "";
    for await (const e of await client.responses.create({ model: "handbook", input: "hi", stream: true })) {
      kinds.push(e.type);
      if (e.type === "response.output_text.delta") text += e.delta;
    }
    assert.equal(text, r.output_text);
    assert.equal(kinds.at(-1), "response.completed");
    assert.equal(kinds.filter((k) => k === "response.output_text.annotation.added").length, 2);
    const final = await client.responses.stream({ model: "tools", input: "hi" }).finalResponse();
    assert.equal(final.output[0].arguments, '{"city":"Bern"}');
  },
  async vectorStores() {
    const found = await client.vectorStores.search("docs", { query: "trains" });
    assert.equal(found.data[0].file_id, "rail.md");
  },
  async models() {
    const ids = [];
    for await (const m of new OpenAI({ baseURL: url + "/openai/v1", apiKey: "unused" }).models.list()) ids.push(m.id);
    assert.ok(ids.includes("handbook") && ids.includes("llm/twin"));
  },
  async errors() {
    await assert.rejects(client.chat.completions.create({ model: "nothing", messages }), (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found" && Boolean(e.requestID));
    await assert.rejects(client.chat.completions.create({ model: "gpt", messages: [] }), OpenAI.BadRequestError);
    await assert.rejects(client.chat.completions.create({ model: "limited", messages }), OpenAI.RateLimitError);
    await assert.rejects(async () => {
      for await (const _ of await client.chat.completions.create({ model: "torn", messages, stream: true }));
    }, OpenAI.APIError);
  },
  async retries() {
    const waits = [], { setTimeout } = globalThis;
    globalThis.setTimeout = (f, ms, ...more) => (waits.push(ms), setTimeout(f, ms, ...more));
    const r = await client.chat.completions.create({ model: "flaky-js", messages }, { maxRetries: 3 });
    assert.equal(r.choices[0].message.content, "You said: hi");
    globalThis.setTimeout = setTimeout;
    assert.equal(waits.filter((ms) => ms === 20).length, 2, "it did not wait as it was told to: " + waits);
  },
  // As a page of a browser reads events: bytes as they come, nothing packed.
  async fetchesEvents() {
    const r = await fetch(url + "/v1/chat/completions", { method: "POST", headers: { "content-type": "application/json", accept: "text/event-stream", "sec-fetch-site": "same-origin" }, body: JSON.stringify({ model: "handbook", messages: [{ role: "user", content: "wait for me" }], stream: true }) });
    assert.equal(r.headers.get("content-encoding"), null);
    assert.equal(r.headers.get("x-accel-buffering"), "no");
    let text = "", told = false;
    const decoder = new TextDecoder();
    for await (const bytes of r.body) {
      text += decoder.decode(bytes, { stream: true });
      if (!told && text.includes("six hours")) {
        told = true; // the rest is not said before this
        await client.chat.completions.create({ model: "handbook", messages: [{ role: "user", content: "go on" }] });
      }
    }
    assert.ok(told && text.includes("first class"));
    assert.ok(text.endsWith("data: [DONE]\n\n"));
  },
};

for (const [name, run] of Object.entries(cases)) {
  try {
    await run();
    console.log("ok", name);
  } catch (e) {
    console.log("failed", name, String(e.stack ?? e).replaceAll("\n", "\\n"));
  }
}
