package spec

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Knowledge is an index over documents that stays current: passages with who
// may read them, found by words and, where there is an embedder, by meaning.
type Knowledge struct {
	// Name of the knowledge.
	Name string `json:"name" spec:"required"`
	// From is the one source, in short: see sources.
	From string `json:"from,omitempty" spec:"location"`
	// Sources say where documents come from.
	Sources []KnowledgeSource `json:"sources,omitempty"`
	// Readers are who may read documents whose source does not say: "*" is
	// everybody who may search the knowledge, user:NAME, group:NAME. "*" when
	// absent.
	Readers Names `json:"readers,omitempty" spec:"scalar"`
	// Language is that of the analyzer, such as en, de or es; found out for each
	// document when absent.
	Language string `json:"language,omitempty"`
	// Fields maps attributes of documents to their types: columns of rows, front
	// matter of Markdown, what is pushed beside a document. Filters read them.
	Fields Columns `json:"fields,omitempty"`
	// Chunk says how long passages are.
	Chunk Chunking `json:"chunk,omitzero"`
	// BM25 has the settings of the lexical ranking.
	BM25 BM25 `json:"bm25,omitzero"`
	// Embed says what makes vectors of passages and questions: a folder with a
	// sentence transformer, openai://MODEL, azure-openai://DEPLOYMENT, or an LLM
	// resource. Search goes by words alone when absent.
	Embed string `json:"embed,omitempty" spec:"location"`
	// Rerank says what orders the best passages anew: an address like those of
	// embed, or an LLM resource.
	Rerank string `json:"rerank,omitempty" spec:"location"`
	// Every is the time between two looks for changes.
	Every Duration `json:"every,omitempty"`
	// Questions is a file of the project with questions and the documents that
	// answer them, a JSON object a line, which gates are measured with.
	Questions string `json:"questions,omitempty"`
	// Gate lists conditions on retrieval measures that a new snapshot has to
	// meet before it goes live, such as ndcg@10 >= 0.6 or recall@10 >= live -
	// 0.01, where live is what the live snapshot reaches.
	Gate Names `json:"gate,omitempty"`
	// Index says where passages are kept: embedded, postgres://HOST/DATABASE or
	// azure-search://SERVICE.
	Index string `json:"index,omitempty" spec:"location,default=embedded"`
	// Keep is how many snapshots before the live one are kept, to roll back to
	// and to ask as of.
	Keep int `json:"keep,omitempty" spec:"min=1,max=1000,default=10"`
	// Secret is what opens the index and the embedder.
	Secret string `json:"secret,omitempty" spec:"secret"`
	// Owner is who answers for it.
	Owner string `json:"owner,omitempty"`
}

// KnowledgeSource is one place that documents come from.
type KnowledgeSource struct {
	// From is a file, folder or glob of the project, s3://BUCKET/PREFIX,
	// azblob://CONTAINER/PREFIX, git+https://HOST/REPOSITORY#REF (also git+ssh
	// and git+file), https://HOST/sitemap.xml or the address of one page,
	// postgres://HOST/DATABASE, lake://TABLE, or push:// for documents that are
	// sent to /v1/knowledge/NAME/documents.
	From string `json:"from" spec:"required,location"`
	// Pages lists addresses of web pages, below the host of from.
	Pages Names `json:"pages,omitempty"`
	// Path is the folder within a git checkout.
	Path string `json:"path,omitempty"`
	// Include keeps documents whose name matches one of the globs, in which **
	// stands for any number of folders.
	Include Names `json:"include,omitempty"`
	// Exclude leaves documents out whose name matches one of the globs.
	Exclude Names `json:"exclude,omitempty"`
	// Readers are who may read the documents; those of the knowledge when
	// absent.
	Readers Names `json:"readers,omitempty" spec:"scalar"`
	// ReadersFrom is the column, or the entry of the front matter, that says who
	// may read a document: a name alone is that of a group. Where it is empty
	// nobody may.
	ReadersFrom string `json:"readers_from,omitempty"`
	// Query of a database whose rows are documents.
	Query string `json:"query,omitempty"`
	// ID is the column that names a row.
	ID string `json:"id,omitempty"`
	// Title is the column with the title of a row.
	Title string `json:"title,omitempty"`
	// Text names the columns that are the text of a row, in order.
	Text Names `json:"text,omitempty"`
	// URL is the column with the address that a reader is sent to.
	URL string `json:"url,omitempty"`
	// Changed is a column that grows with every change of a row: only rows above
	// the greatest value seen are read then.
	Changed string `json:"changed,omitempty"`
	// Secret is what opens the source.
	Secret string `json:"secret,omitempty" spec:"secret"`
	// Options are settings of the transport, such as region for s3.
	Options map[string]string `json:"options,omitempty" spec:"scalar"`
}

// Chunking says how long passages are, in bytes.
type Chunking struct {
	// Target is about how long a passage becomes.
	Target int `json:"target,omitempty" spec:"min=100,max=20000,default=1200"`
	// Most is how long it may become.
	Most int `json:"most,omitempty" spec:"min=200,max=40000,default=2400"`
}

// BM25 has the settings of a lexical ranking.
type BM25 struct {
	// K1 says how soon more of the same word counts no more; 1.2 when absent.
	K1 *float64 `json:"k1,omitempty" spec:"min=0,max=10"`
	// B says how much long passages are held back; 0.75 when
	// absent.
	B *float64 `json:"b,omitempty" spec:"min=0,max=1"`
	// Title is the weight of words of the title beside one of the text; 3 when
	// absent.
	Title *float64 `json:"title,omitempty" spec:"min=0,max=100"`
	// Heading is the weight of words of the headings above a passage; 1 when
	// absent.
	Heading *float64 `json:"heading,omitempty" spec:"min=0,max=100"`
}

// Kind returns KindKnowledge.
func (k *Knowledge) Kind() Kind { return KindKnowledge }

func (k *Knowledge) name() string { return k.Name }

// All returns the sources, the short form included. Their readers are filled
// in.
func (k *Knowledge) All() []KnowledgeSource {
	var all []KnowledgeSource
	if k.From != "" {
		all = append(all, KnowledgeSource{From: k.From})
	}
	all = append(all, k.Sources...)
	for i := range all {
		switch {
		case len(all[i].Readers) > 0 || all[i].ReadersFrom != "":
		case len(k.Readers) > 0:
			all[i].Readers = k.Readers
		default:
			all[i].Readers = Names{ReaderAll}
		}
	}
	return all
}

// ReaderAll among readers means everybody who may search the knowledge.
const ReaderAll = "*"

// KnowledgeSchemes are the schemes of where documents come from; "" is a file
// or folder of the project.
func KnowledgeSchemes() []string {
	return []string{"", "s3", "azblob", "git+https", "git+ssh", "git+file", "git+http", "https", "http", "postgres", "postgresql", "lake", "push"}
}

// Scheme returns the scheme of an address, or "" of a path.
func Scheme(address string) string {
	scheme, _, found := strings.Cut(address, "://")
	if !found {
		return ""
	}
	return strings.ToLower(scheme)
}

var (
	readerName = regexp.MustCompile(`^(\*|(user|group):\S.*)$`)
	// retrievalGate is measure, comparison, and a number or what is live less a
	// number.
	retrievalGate = regexp.MustCompile(`^\s*((?:ndcg|recall|precision|hit|mrr)@[1-9][0-9]{0,3}|map|mrr)\s*(>=|>)\s*(?:(live)(?:\s*-\s*([0-9]*\.?[0-9]+))?|([0-9]*\.?[0-9]+))\s*$`)
	languageName  = regexp.MustCompile(`^[a-z]{2,3}$`)
)

// RetrievalGate is a condition on a retrieval measure.
type RetrievalGate struct {
	Measure string  // such as ndcg@10
	Strict  bool    // greater, not greater or equal
	Live    bool    // compared with what the live snapshot reaches
	Number  float64 // the bound, or what may be lost beside the live snapshot
}

// ParseRetrievalGate reads a condition; false where it is none.
func ParseRetrievalGate(text string) (RetrievalGate, bool) {
	m := retrievalGate.FindStringSubmatch(text)
	if m == nil {
		return RetrievalGate{}, false
	}
	number := m[4] + m[5]
	g := RetrievalGate{Measure: m[1], Strict: m[2] == ">", Live: m[3] != ""}
	if number != "" {
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return RetrievalGate{}, false
		}
		g.Number = v
	}
	return g, true
}

func (k *Knowledge) check(c *checker) {
	if k.From == "" && len(k.Sources) == 0 && !c.failed["from"] && !c.failed["sources"] {
		c.bad("", "Knowledge %q has no source", k.Name).Hint("add a field like from: docs/**/*.md, or sources: with several")
	}
	if k.From != "" {
		source := KnowledgeSource{From: k.From}
		if s := Scheme(k.From); s == "postgres" || s == "postgresql" || s == "lake" {
			c.bad("from", `"from" is a table, and there is no word of its columns`).
				Hint(`write sources: [{from: %s, id: …, text: …}]`, quote([]byte(k.From)))
		} else {
			source.check(c, "from", "")
		}
	}
	for i := range k.Sources {
		at := element("sources", i)
		k.Sources[i].check(c, below(at, "from"), at)
	}
	k.readers(c, k.Readers, "readers")
	for i := range k.Sources {
		k.readers(c, k.Sources[i].Readers, below(element("sources", i), "readers"))
	}
	if k.Language != "" && !languageName.MatchString(k.Language) {
		c.bad("language", "%s is not the code of a language", quote([]byte(k.Language))).Hint("write en, de, es and the like; leave it out to have it found out")
	}
	if k.Every != 0 && k.Every.Std() < time.Second {
		c.bad("every", "%s is %s, less than a second", label("every"), k.Every)
	}
	if k.Chunk.Target > k.Chunk.Most {
		c.bad("chunk.target", "%s is more than %s", label("chunk.target"), label("chunk.most"))
	}
	k.checkGate(c)
	if k.Index != "embedded" {
		c.scheme(k.Index, "index", "postgres", "postgresql", "azure-search")
	}
}

func (k *Knowledge) checkGate(c *checker) {
	for i, gate := range k.Gate {
		if _, ok := ParseRetrievalGate(gate); !ok && gate != "" {
			c.bad(element("gate", i), "%s is not a condition on a retrieval measure", quote([]byte(gate))).
				Hint("write measure, >= and a number, as in ndcg@10 >= 0.6 or recall@10 >= live - 0.01; measures are ndcg@K, recall@K, precision@K, hit@K, mrr@K and map")
		}
	}
	if len(k.Gate) > 0 && k.Questions == "" {
		c.bad("gate", "the gate has no questions to measure with").Hint("add a field like questions: questions.jsonl")
	}
}

func (k *Knowledge) readers(c *checker, readers Names, path string) {
	for i, r := range readers {
		if !readerName.MatchString(r) {
			c.bad(element(path, i), "%s says not whom it means: %s", label(element(path, i)), quote([]byte(r))).
				Hint(`write "*", user:NAME or group:NAME`)
		}
	}
}

// check holds a source against its scheme. at is "" for the short form.
func (s *KnowledgeSource) check(c *checker, from, at string) {
	c.scheme(s.From, from, KnowledgeSchemes()...)
	in := func(field string) string { return below(at, field) }
	scheme := Scheme(s.From)
	rows := slices.Contains([]string{"postgres", "postgresql", "lake"}, scheme)
	git := strings.HasPrefix(scheme, "git+")
	web := scheme == "https" || scheme == "http"
	if len(s.Readers) > 0 && s.ReadersFrom != "" {
		c.bad(in("readers_from"), "both readers and readers_from say who may read").Hint("keep one of them")
	}
	for _, f := range []struct {
		name  string
		given bool
		fits  bool
		what  string
	}{
		{"query", s.Query != "", rows && scheme != "lake", "databases"},
		{"id", s.ID != "", rows, "rows"}, {"title", s.Title != "", rows, "rows"},
		{"text", len(s.Text) > 0, rows, "rows"}, {"url", s.URL != "", rows, "rows"}, {"changed", s.Changed != "", rows, "rows"},
		{"path", s.Path != "", git, "git checkouts"}, {"pages", len(s.Pages) > 0, web, "web sites"},
	} {
		if f.given && !f.fits {
			c.bad(in(f.name), "%s is for %s, and %s is none", label(in(f.name)), f.what, quote([]byte(s.From)))
		}
	}
	if !rows {
		c.secrets(s.Options, in("options"))
		return
	}
	if s.ID == "" && !c.failed[in("id")] {
		c.bad(in("id"), "%s is missing", label(in("id"))).Hint("name the column that tells one row from another")
	}
	if len(s.Text) == 0 && !c.failed[in("text")] {
		c.bad(in("text"), "%s is missing", label(in("text"))).Hint("name the column, or columns, with the text")
	}
	if scheme != "lake" && s.Query == "" && !c.failed[in("query")] {
		c.bad(in("query"), "%s is missing", label(in("query"))).Hint("add a field like query: select id, title, body from articles")
	}
	c.secrets(s.Options, in("options"))
}
