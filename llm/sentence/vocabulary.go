package sentence

import (
	"encoding/json"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// tokenizerFile is tokenizer.json, of which BERT's parts are read.
type tokenizerFile struct {
	Added []struct {
		ID      int32  `json:"id"`
		Content string `json:"content"`
	} `json:"added_tokens"`
	Normalizer struct {
		Type       string `json:"type"`
		Clean      bool   `json:"clean_text"`
		Ideographs bool   `json:"handle_chinese_chars"`
		Strip      *bool  `json:"strip_accents"`
		Lower      bool   `json:"lowercase"`
	} `json:"normalizer"`
	PreTokenizer struct {
		Type string `json:"type"`
	} `json:"pre_tokenizer"`
	Model struct {
		Type    string           `json:"type"`
		Unknown string           `json:"unk_token"`
		Prefix  string           `json:"continuing_subword_prefix"`
		Longest int              `json:"max_input_chars_per_word"`
		Vocab   map[string]int32 `json:"vocab"`
	} `json:"model"`
}

// tokenizerConfig is tokenizer_config.json.
type tokenizerConfig struct {
	Lower      *bool `json:"do_lower_case"`
	Strip      *bool `json:"strip_accents"`
	Ideographs *bool `json:"tokenize_chinese_chars"`
}

// readTokenizer reads tokenizer.json, or vocab.txt with tokenizer_config.json
// where there is none.
func (f *folder) readTokenizer() (*tokenizer, error) {
	t := &tokenizer{prefix: "##", longestWord: 100, clean: true, ideographs: true, lower: true}
	var err error
	if b := f.files["tokenizer.json"]; b != nil {
		err = t.fromFile(b)
	} else {
		err = t.fromWords(f.files["vocab.txt"], f.files["tokenizer_config.json"])
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the tokenizer of the embedding model %q", f.name)
	}
	t.lower = t.lower || f.lower
	return t, t.finish(f.name)
}

func (t *tokenizer) fromFile(b []byte) error {
	var file tokenizerFile
	if err := json.Unmarshal(b, &file); err != nil {
		return fault.New(fault.Invalid, "tokenizer.json cannot be read: %v", err)
	}
	for _, part := range [][2]string{
		{file.Normalizer.Type, "BertNormalizer"}, {file.PreTokenizer.Type, "BertPreTokenizer"}, {file.Model.Type, "WordPiece"},
	} {
		if part[0] != part[1] {
			return fault.New(fault.Unsupported, "a tokenizer with %.50q is not executed here", part[0]).
				Hint("take a model with BERT's tokenizer, such as all-MiniLM, bge or e5")
		}
	}
	t.vocabulary, t.prefix, t.longestWord = file.Model.Vocab, file.Model.Prefix, file.Model.Longest
	t.clean, t.ideographs, t.lower = file.Normalizer.Clean, file.Normalizer.Ideographs, file.Normalizer.Lower
	t.strip = t.lower
	if file.Normalizer.Strip != nil {
		t.strip = *file.Normalizer.Strip
	}
	for _, a := range file.Added {
		if id, ok := t.vocabulary[a.Content]; a.Content == "" || ok && id != a.ID {
			return fault.New(fault.Invalid, "tokenizer.json gives the token %.50q two numbers", a.Content)
		}
		if t.vocabulary == nil {
			break
		}
		t.vocabulary[a.Content] = a.ID
		t.special = append(t.special, a.Content)
	}
	return nil
}

func (t *tokenizer) fromWords(words, config []byte) error {
	if words == nil {
		return fault.New(fault.NotFound, "the folder has neither tokenizer.json nor vocab.txt")
	}
	var c tokenizerConfig
	if config != nil {
		if err := json.Unmarshal(config, &c); err != nil {
			return fault.New(fault.Invalid, "tokenizer_config.json cannot be read: %v", err)
		}
	}
	given := func(v *bool, otherwise bool) bool {
		if v == nil {
			return otherwise
		}
		return *v
	}
	t.lower, t.ideographs = given(c.Lower, true), given(c.Ideographs, true)
	t.strip = given(c.Strip, t.lower)
	lines := strings.Split(strings.TrimSuffix(string(words), "\n"), "\n")
	t.vocabulary = make(map[string]int32, len(lines))
	for i, line := range lines {
		t.vocabulary[strings.TrimSuffix(line, "\r")] = int32(i)
	}
	t.special = []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
	return nil
}

// finish finds the tokens that every BERT has, and how long a piece can be.
func (t *tokenizer) finish(name string) error {
	for token, into := range map[string]*int32{"[UNK]": &t.unknown, "[CLS]": &t.first, "[SEP]": &t.last, "[PAD]": &t.pad} {
		id, ok := t.vocabulary[token]
		if !ok || id < 0 {
			return fault.New(fault.Unsupported, "the vocabulary of the embedding model %q has no %s", name, token)
		}
		*into = id
	}
	if t.longestWord < 1 || t.longestWord > 10_000 || len(t.special) > 1000 {
		return fault.New(fault.Invalid, "the tokenizer of the embedding model %q has impossible sizes", name)
	}
	for word, id := range t.vocabulary {
		if id < 0 {
			return fault.New(fault.Invalid, "the vocabulary of the embedding model %q numbers %.50q by %d", name, word, id)
		}
		t.longestPiece = max(t.longestPiece, len(word))
	}
	for _, s := range t.special {
		if _, ok := t.vocabulary[s]; !ok {
			return fault.New(fault.Unsupported, "the vocabulary of the embedding model %q has no %s", name, s)
		}
		t.begins[s[0]] = true
	}
	return nil
}

// most is the highest number of a token.
func (t *tokenizer) most() int {
	most := 0
	for _, id := range t.vocabulary {
		most = max(most, int(id))
	}
	return most
}
