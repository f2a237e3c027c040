/** The program that the deploy demo replaces: a page, and a counter for each WebSocket. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { Switchboard } from "../../../src/index.ts";
import { VERSION } from "./version.ts";

const page = await readFile(new URL("./page.html", import.meta.url), "utf8");
const server = createServer((_request, response) => {
  response.setHeader("content-type", "text/html; charset=utf-8").end(page);
});
const actor = new URL("./counter.ts", import.meta.url);
const board = await Switchboard.start({ actor, shards: 2, takeover: true });
board.on("takenOver", ({ connections }) => console.log(`version ${VERSION} took over ${connections} connections`));
board.on("handedOver", ({ pauseMs }) => {
  console.log(`version ${VERSION} handed over, everything stopped for ${Math.round(pauseMs)} ms`);
  server.close();
});
board.attach(server, { path: "/counter" });
board.closeOnSignals();
board.on("closed", () => server.close());
const address = await board.listen(server, { port: Number(process.env["PORT"] ?? 0), host: "127.0.0.1" });
console.log(`version ${VERSION} listens on ${typeof address === "object" ? address.port : address}`);
