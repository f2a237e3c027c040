// Fastify 5 and a board on one port: the framework has the requests, the board has the WebSockets.
import Fastify from "fastify";
import { Switchboard } from "../../src/index.ts"; // your own: "switchboard"

const app = Fastify();
app.get<{ Params: { name: string } }>("/hello/:name", ({ params }) => ({ hello: params.name }));

const board = await Switchboard.start({ actor: new URL("./chat.ts", import.meta.url), shards: 2 });
board.attach(app.server, { path: "/chat/:room" });
app.addHook("preClose", async () => {
  await board.close();
});

app.post<{ Params: { room: string }; Body: string }>("/chat/:room", async ({ params, body }, reply) => {
  board.publish(`room:${params.room}`, body);
  return reply.status(202).send();
});

const url = new URL(await app.listen({ port: Number(process.env["PORT"] ?? 8080) }));
console.log(`listening on ${url.port}`);

process.once("SIGTERM", () => app.close());
