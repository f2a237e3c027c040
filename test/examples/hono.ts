// Hono, on its Node server, and a board on one port: the framework has the requests, the board has the WebSockets.
import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { Switchboard } from "../../src/index.ts"; // your own: "switchboard"

const app = new Hono();
app.get("/hello/:name", (context) => context.json({ hello: context.req.param("name") }));

const server = createServer(getRequestListener(app.fetch));
const board = await Switchboard.start({ actor: new URL("./chat.ts", import.meta.url), shards: 2 });
board.attach(server, { path: "/chat/:room" });

app.post("/chat/:room", async (context) => {
  board.publish(`room:${context.req.param("room")}`, await context.req.text());
  return context.body(null, 202);
});

server.listen(Number(process.env["PORT"] ?? 8080), () => {
  const address = server.address();
  console.log(`listening on ${typeof address === "object" ? address?.port : address}`);
});

process.once("SIGTERM", async () => {
  await board.close();
  server.close();
});
