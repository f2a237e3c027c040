// Express 5 and a board on one port: the framework has the requests, the board has the WebSockets.
import { createServer } from "node:http";
import express from "express";
import { Switchboard } from "../../src/index.ts"; // your own: "switchboard"

const app = express();
app.get("/hello/:name", (request, response) => {
  response.json({ hello: request.params.name });
});

const server = createServer(app);
const board = await Switchboard.start({ actor: new URL("./chat.ts", import.meta.url), shards: 2 });
board.attach(server, { path: "/chat/:room" });

app.post("/chat/:room", express.text(), (request, response) => {
  board.publish(`room:${request.params.room}`, request.body);
  response.sendStatus(202);
});

server.listen(Number(process.env["PORT"] ?? 8080), () => {
  const address = server.address();
  console.log(`listening on ${typeof address === "object" ? address?.port : address}`);
});

process.once("SIGTERM", async () => {
  await board.close();
  server.close();
});
