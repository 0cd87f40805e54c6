// The same trees as an ONNX file, behind Node's HTTP server with ONNX Runtime,
// a process for each core. Rows come as objects and go in as one tensor.
//
//   PEER_MODEL=model.onnx PEER_PORT=8000 PEER_WORKERS=2 node bench/serving/peer.js
"use strict";

const cluster = require("node:cluster");
const http = require("node:http");
const ort = require("onnxruntime-node");

const workers = Number(process.env.PEER_WORKERS || "1");

async function serve() {
  const session = await ort.InferenceSession.create(process.env.PEER_MODEL, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  const input = session.inputNames[0];

  // The columns are x0, x1, …; the second output is the probabilities of both
  // classes, row after row.
  async function score(rows) {
    const width = Object.keys(rows[0]).length;
    const values = new Float32Array(rows.length * width);
    rows.forEach((row, r) => {
      for (let c = 0; c < width; c++) values[r * width + c] = row["x" + c];
    });
    const answer = await session.run({ [input]: new ort.Tensor("float32", values, [rows.length, width]) });
    const probabilities = answer[session.outputNames[1]].data;
    return rows.map((_, r) => ({ score: probabilities[2 * r + 1] }));
  }

  const server = http.createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", async () => {
      try {
        const { rows } = JSON.parse(Buffer.concat(parts));
        const body = JSON.stringify({ decisions: await score(rows) });
        response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
        response.end(body);
      } catch (error) {
        const body = String(error);
        response.writeHead(500, { "Content-Length": Buffer.byteLength(body) });
        response.end(body);
      }
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(Number(process.env.PEER_PORT), "127.0.0.1");
}

if (cluster.isPrimary && workers > 1) {
  for (let i = 0; i < workers; i++) cluster.fork();
} else {
  serve();
}
