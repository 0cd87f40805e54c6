"""Writes what sentence-transformers makes of some texts, for the tests of this
package to compare with.

    python golden.py MODEL XQUAD

MODEL is the folder of all-MiniLM-L6-v2, XQUAD the folder qa-xquad of the test
data. It was run with torch 1.13.0, transformers 4.38.2 and
sentence-transformers 2.7.0, and writes minilm.json and the folders tiny and
tiny-onnx: small transformers with random weights and other settings.
"""
import base64, gzip, json, os, shutil, sys

import torch
from sentence_transformers import SentenceTransformer, models
from transformers import BertConfig, BertModel, BertTokenizerFast

here = os.path.dirname(os.path.abspath(__file__))


def texts(xquad):
    out = ["", " ", "a", "This is an example sentence", "Each sentence is converted",
           "Zoë's naïve café: 50 € — déjà-vu?!", "東京は日本の首都です。", "tabs\tand\nlines\r\n and\u00a0spaces\u200b",
           "x" * 150, "[CLS] is [MASK] a token [SEP]", "word " * 400, "🙂 emoji 👩‍👩‍👧 and \ufffd \x00 controls \x07"]
    for language in ["en", "es", "de", "zh", "ar"]:
        with gzip.open(f"{xquad}/{language}.corpus.jsonl.gz", "rt", encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        out += [lines[i]["text"] for i in (3, 77)]
    return out


def write(path, model, texts):
    vectors = model.encode(texts, normalize_embeddings=True, batch_size=8)
    with open(path, "w", encoding="utf-8") as f:
        json.dump([{"text": t, "vector": base64.b64encode(v.astype("<f4").tobytes()).decode()} for t, v in zip(texts, vectors)], f,
                  ensure_ascii=True, indent=0)
        f.write("\n")


def tiny(vocabulary, pooling, seed, **settings):
    torch.manual_seed(seed)
    config = BertConfig(vocab_size=len(vocabulary), hidden_size=40, num_hidden_layers=2, num_attention_heads=4, intermediate_size=72,
                        max_position_embeddings=48, initializer_range=0.3, **settings)
    folder = os.path.join(here, "work")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(vocabulary) + "\n")
    tokenizer = BertTokenizerFast(os.path.join(folder, "vocab.txt"), do_lower_case=False)
    bert = BertModel(config).eval()
    bert.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    transformer = models.Transformer(folder, max_seq_length=20)
    return SentenceTransformer(modules=[transformer, models.Pooling(40, pooling_mode=pooling)], device="cpu"), bert


def keep(model, name):
    folder = os.path.join(here, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save(folder, safe_serialization=True)
    shutil.rmtree(os.path.join(here, "work"), ignore_errors=True)
    for extra in ["README.md", "special_tokens_map.json"]:
        os.remove(os.path.join(folder, extra))
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    del config["_name_or_path"]
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config, f, indent=2)
        f.write("\n")
    return folder


def export(bert, folder):
    ids = torch.ones(2, 3, dtype=torch.long)
    axes = {n: {0: "rows", 1: "columns"} for n in ["input_ids", "attention_mask", "token_type_ids", "last_hidden_state"]}
    os.makedirs(os.path.join(folder, "onnx"))
    torch.onnx.export(bert, (ids, ids, ids * 0), os.path.join(folder, "onnx", "model.onnx"),
                      input_names=["input_ids", "attention_mask", "token_type_ids"], output_names=["last_hidden_state"],
                      dynamic_axes=axes, opset_version=14)


def main(minilm, xquad):
    write(os.path.join(here, "minilm.json"), SentenceTransformer(minilm, device="cpu"), texts(xquad))
    pieces = [c for c in "abcdefghijklmnopqrstuvwxyz"] + ["##" + c for c in "abcdefghijklmnopqrstuvwxyz"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "The", "##ing", "##er", "quick", "fox", ".", "é", "東"] + pieces
    some = ["the quick fox", "The fox jumping.", "quick é 東京 thing", "", "a" * 40, "the " * 60, "FOX the foxs"]
    first, _ = tiny(vocabulary, "cls", 1)
    folder = keep(first, "tiny")
    write(os.path.join(folder, "golden.json"), first, some)
    os.remove(os.path.join(folder, "tokenizer.json"))  # vocab.txt must do
    mean, bert = tiny(vocabulary, "max", 2, layer_norm_eps=1e-5)
    folder = keep(mean, "tiny-onnx")
    write(os.path.join(folder, "golden.json"), mean, some)
    export(bert, folder)
    os.remove(os.path.join(folder, "model.safetensors"))


main(*sys.argv[1:])
