package azuresearch

import (
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/analysis"
)

// definition is an index as the service takes it.
type definition struct {
	Name       string        `json:"name"`
	Fields     []column      `json:"fields"`
	Profiles   []profile     `json:"scoringProfiles,omitempty"`
	Similarity *similarity   `json:"similarity,omitempty"`
	Vectors    *vectorSearch `json:"vectorSearch,omitempty"`
}

type column struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	Key         bool     `json:"key,omitempty"`
	Searchable  *bool    `json:"searchable,omitempty"`
	Filterable  *bool    `json:"filterable,omitempty"`
	Sortable    *bool    `json:"sortable,omitempty"`
	Facetable   *bool    `json:"facetable,omitempty"`
	Retrievable *bool    `json:"retrievable,omitempty"`
	Analyzer    string   `json:"analyzer,omitempty"`
	Dimensions  int      `json:"dimensions,omitempty"`
	Profile     string   `json:"vectorSearchProfile,omitempty"`
	Fields      []column `json:"fields,omitempty"`
}

type profile struct {
	Name string `json:"name"`
	Text struct {
		Weights map[string]float64 `json:"weights"`
	} `json:"text"`
}

type similarity struct {
	Type string  `json:"@odata.type"`
	K1   float64 `json:"k1"`
	B    float64 `json:"b"`
}

type vectorSearch struct {
	Algorithms []algorithm     `json:"algorithms"`
	Profiles   []vectorProfile `json:"profiles"`
}

type algorithm struct {
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	Parameters map[string]string `json:"hnswParameters,omitempty"`
}

type vectorProfile struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
}

// field makes a column that is only kept, and by use for filters, order or
// search.
func field(name, kind string, uses ...string) column {
	c := column{Name: name, Type: kind, Searchable: new(bool), Filterable: new(bool), Sortable: new(bool), Facetable: new(bool)}
	if kind == "Collection(Edm.String)" {
		c.Sortable = nil // collections have no order
	}
	yes := true
	for _, use := range uses {
		switch use {
		case "filter":
			c.Filterable = &yes
		case "sort":
			c.Sortable = &yes
		case "key":
			c.Key, c.Filterable, c.Sortable = true, &yes, &yes
		case "search":
			c.Searchable = &yes
		}
	}
	return c
}

// analyzers are the service's own for the languages that package analysis
// knows; "standard.lucene" is for the others.
var analyzers = map[string]string{
	"ar": "ar.lucene", "ca": "ca.lucene", "da": "da.lucene", "de": "de.lucene", "el": "el.lucene", "en": "en.lucene", "es": "es.lucene",
	"eu": "eu.lucene", "fi": "fi.lucene", "fr": "fr.lucene", "hi": "hi.lucene", "hu": "hu.lucene", "hy": "hy.lucene", "id": "id.lucene",
	"it": "it.lucene", "ja": "ja.lucene", "ko": "ko.lucene", "nl": "nl.lucene", "no": "no.lucene", "pt": "pt-PT.lucene", "ro": "ro.lucene",
	"ru": "ru.lucene", "sv": "sv.lucene", "tr": "tr.lucene", "zh": "zh-Hans.lucene",
}

// passageDefinition is the index of passages.
func passageDefinition(name string, s index.Settings, dimension int) definition {
	analyzer := analyzers[analysis.Base(s.Language)]
	if analyzer == "" {
		analyzer = "standard.lucene"
	}
	text := func(name string) column {
		c := field(name, "Edm.String", "search")
		c.Analyzer = analyzer
		return c
	}
	inner := func(name, kind string) column {
		c := field(name, kind, "filter")
		c.Sortable = nil // within a collection
		return c
	}
	d := definition{Name: name, Fields: []column{
		field("key", "Edm.String", "key"),
		field("snapshots", "Collection(Edm.String)", "filter"),
		field("readers", "Collection(Edm.String)", "filter"),
		field("withdrawn", "Edm.Boolean", "filter"),
		field("stamp", "Edm.String", "filter"),
		field("document", "Edm.String", "filter"),
		field("documentKey", "Edm.String", "filter"),
		field("idKey", "Edm.String", "filter"),
		field("id", "Edm.String"), field("version", "Edm.String"), field("start", "Edm.Int64"), field("end", "Edm.Int64"),
		text("title"), text("heading"), text("context"), text("text"), field("raw", "Edm.String"),
		field("language", "Edm.String"), field("page", "Edm.Int32"), field("ordinal", "Edm.Int32"), field("parent", "Edm.String"),
		{Name: "fields", Type: "Collection(Edm.ComplexType)", Fields: []column{
			inner("name", "Edm.String"), inner("kind", "Edm.Int32"), inner("text", "Edm.String"), inner("whole", "Edm.Int64"), inner("number", "Edm.Double"),
		}},
	}, Similarity: &similarity{"#Microsoft.Azure.Search.BM25Similarity", s.K1, s.B}}
	weights := profile{Name: "weights"}
	weights.Text.Weights = make(map[string]float64)
	for part, weight := range parts(s) {
		weights.Text.Weights[part] = weight
	}
	d.Profiles = []profile{weights}
	if dimension > 0 {
		yes, no := true, false
		d.Fields = append(d.Fields, column{Name: "vector", Type: "Collection(Edm.Single)", Searchable: &yes, Retrievable: &no, Dimensions: dimension, Profile: "cosine"})
		d.Vectors = &vectorSearch{
			Algorithms: []algorithm{{Name: "hnsw", Kind: "hnsw", Parameters: map[string]string{"metric": "cosine"}}},
			Profiles:   []vectorProfile{{Name: "cosine", Algorithm: "hnsw"}},
		}
	}
	return d
}

// parts are the parts of a passage whose words count, with their weights.
func parts(s index.Settings) map[string]float64 {
	weights := make(map[string]float64)
	for part, weight := range map[string]float64{"title": s.Weights.Title, "heading": s.Weights.Heading, "context": s.Weights.Context, "text": s.Weights.Text} {
		if weight > 0 {
			weights[part] = weight
		}
	}
	return weights
}

// controlDefinition is the index of snapshots and access.
func controlDefinition(name string) definition {
	return definition{Name: name, Fields: []column{
		field("key", "Edm.String", "key"),
		field("kind", "Edm.String", "filter"),
		field("stamp", "Edm.String", "filter"),
		field("body", "Edm.String"),
	}}
}
