"""Ranks documents with Cohere's stock client: stock.py URL."""

import sys

import cohere

url = sys.argv[1]
documents = ["a", "ccc", "bb"]
for client in (cohere.ClientV2(api_key="unused", base_url=url), cohere.Client(api_key="unused", base_url=url)):
    r = client.rerank(model="ranker", query="q", documents=documents, top_n=2)
    assert [x.index for x in r.results] == [1, 2] and r.results[0].relevance_score == 0.03, r
    assert r.meta.billed_units.search_units == 2, r.meta
    try:
        client.rerank(model="nothing", query="q", documents=documents)
    except cohere.NotFoundError as e:
        assert "nothing" in e.body["message"], e.body
    else:
        raise AssertionError("nothing was raised")
r = cohere.Client(api_key="unused", base_url=url).rerank(model="ranker", query="q", documents=[{"text": "ccc"}, {"text": "a"}], return_documents=True)
assert [x.document.text for x in r.results] == ["ccc", "a"], r
