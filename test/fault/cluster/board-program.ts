/** A board in a process of its own. `BoardProcess` starts it and talks to it. */
import { redis } from "../../../src/engines/redis/index.ts";
import { Switchboard } from "../../../src/index.ts";
import type { BoardCall, BoardNews, BoardProgram, HistoryAnswer } from "./messages.ts";
import { BOARD_EVENTS, KILL_ENGINE } from "./messages.ts";

const settings = JSON.parse(process.argv[2] ?? "") as BoardProgram;
const tell = (news: BoardNews): void => void process.send?.(news);
process.on("disconnect", () => process.exit());

const board = await Switchboard.start({
  actor: new URL("./actor.ts", import.meta.url),
  shards: 2,
  topics: settings.topics,
  engine: { ...redis(settings.redis), module: new URL("./mortal-redis.ts", import.meta.url).href },
  // A late event loop must not exclude a shard from new connections: the test machine may be busy at any time.
  maxEventLoopDelayMs: 60_000,
});
for (const name of BOARD_EVENTS) {
  board.on(name, (detail?: unknown) => {
    const { message, error } = (detail ?? {}) as { readonly message?: string; readonly error?: Error };
    tell({ kind: "event", name, text: message ?? error?.message ?? "" });
  });
}
const killer = new BroadcastChannel(KILL_ENGINE);

async function readHistory(topic: string): Promise<HistoryAnswer> {
  const publications: HistoryAnswer["publications"][number][] = [];
  let since = (await board.history(topic, { limit: 0 })).top;
  since = { epoch: since.epoch, offset: 0 };
  for (;;) {
    const page = await board.history(topic, { since, limit: 1_000 });
    publications.push(
      ...page.publications.map(({ epoch, offset, message }) => ({ epoch, offset, text: message.text })),
    );
    const last = page.publications.at(-1);
    if (last === undefined) return { top: page.top, publications };
    since = { epoch: last.epoch, offset: last.offset };
  }
}

function answer(call: BoardCall): unknown {
  if (call.name === "health") return board.health();
  if (call.name === "stats") return board.stats();
  if (call.name === "history") return readHistory(call.topic);
  if (call.name === "killEngine") return killer.postMessage("now");
  return board.presence(call.topic);
}

process.on("message", async ({ id, ...call }: BoardCall & { readonly id: number }) => {
  const value = await Promise.resolve(call as BoardCall)
    .then(answer)
    .catch((error: Error) => ({ error: error.message }));
  tell({ kind: "answer", id, value });
});

const { port } = await board.listen({ port: 0, host: "127.0.0.1" });
tell({ kind: "listening", port });
