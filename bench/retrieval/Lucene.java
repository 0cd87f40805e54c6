// Lucene as a peer of the benchmark of retrieval: indexes a file of documents,
// asks a file of queries under each filter, and writes hits and times. Started
// by the benchmark, as a source file:
//
//   java -cp 'lucene/*' Lucene.java DOCUMENTS QUERIES HITS ANALYZER K1 B K FILTERS

import java.io.BufferedWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.core.WhitespaceAnalyzer;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StoredField;
import org.apache.lucene.document.StringField;
import org.apache.lucene.document.TextField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.util.QueryBuilder;

public class Lucene {
    public static void main(String[] args) throws Exception {
        Analyzer analyzer = args[3].equals("english") ? new EnglishAnalyzer() : new WhitespaceAnalyzer();
        BM25Similarity bm25 = new BM25Similarity(Float.parseFloat(args[4]), Float.parseFloat(args[5]));
        int k = Integer.parseInt(args[6]);
        Path folder = Files.createTempDirectory("lucene");
        Directory directory = FSDirectory.open(folder);
        long begin = System.nanoTime();
        IndexWriterConfig config = new IndexWriterConfig(analyzer).setSimilarity(bm25).setRAMBufferSizeMB(128);
        try (IndexWriter writer = new IndexWriter(directory, config); var lines = Files.lines(Path.of(args[0]))) {
            for (String line : (Iterable<String>) lines::iterator) {
                String[] cells = line.split("\t", 3);
                Document d = new Document();
                d.add(new StringField("id", cells[0], Field.Store.YES));
                for (String group : cells[1].split(" ")) {
                    d.add(new StringField("group", group, Field.Store.NO));
                }
                d.add(new TextField("text", cells[2], Field.Store.NO));
                if (k <= 100) { // what an application shows; a ranking for trec_eval needs ids alone
                    d.add(new StoredField("stored", cells[2]));
                }
                writer.addDocument(d);
            }
            writer.commit();
        }
        StringBuilder report = new StringBuilder("{\"index_s\":" + (System.nanoTime() - begin) / 1e9 + ",\"times\":{");
        IndexSearcher.setMaxClauseCount(10_000);
        IndexSearcher searcher = new IndexSearcher(DirectoryReader.open(directory));
        searcher.setSimilarity(bm25);
        List<String> queries = Files.readAllLines(Path.of(args[1]));
        QueryBuilder builder = new QueryBuilder(analyzer);
        try (BufferedWriter out = Files.newBufferedWriter(Path.of(args[2]))) {
            String comma = "";
            for (String filter : args[7].split(",")) {
                List<Long> times = new ArrayList<>();
                for (int round = 0; round < 2; round++) { // the first one warms up
                    times.clear();
                    for (String line : queries) {
                        String[] cells = line.split("\t", 2);
                        long at = System.nanoTime();
                        Query q = builder.createBooleanQuery("text", cells[1]);
                        if (q == null) {
                            continue;
                        }
                        if (!filter.equals("all")) {
                            q = new BooleanQuery.Builder().add(q, BooleanClause.Occur.MUST)
                                .add(new TermQuery(new Term("group", filter)), BooleanClause.Occur.FILTER).build();
                        }
                        StringBuilder hits = new StringBuilder();
                        for (ScoreDoc hit : searcher.search(q, k).scoreDocs) {
                            Document d = searcher.storedFields().document(hit.doc);
                            hits.append(filter + "\t" + cells[0] + "\t" + d.get("id") + "\t" + hit.score + "\n");
                        }
                        times.add(System.nanoTime() - at);
                        if (round == 1) {
                            out.write(hits.toString());
                        }
                    }
                }
                report.append(comma + "\"" + filter + "\":" + times);
                comma = ",";
            }
        }
        System.out.println(report + "}}");
        try (var files = Files.list(folder)) {
            for (Path p : (Iterable<Path>) files::iterator) {
                Files.delete(p);
            }
        }
        Files.delete(folder);
    }
}
