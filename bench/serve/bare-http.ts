/**
 * A `node:http` server that parses the JSON of each request, and answers as the API does. Prints `listening on PORT`.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const ANSWER = '{"result":{}}';
const HEADERS = { "Content-Type": "application/json", "Content-Length": ANSWER.length };

const http = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const { channel, data } = JSON.parse(Buffer.concat(chunks).toString());
    if (typeof channel !== "string" || data === undefined) throw new Error("this is no publish");
    response.writeHead(200, HEADERS);
    response.end(ANSWER);
  });
});
http.listen(0, "127.0.0.1", () => console.log(`listening on ${(http.address() as AddressInfo).port}`));
process.once("SIGTERM", () => process.exit(0));
