/** Two boards over io_uring in one process, which ends as its standard input tells it. */
import { createInterface } from "node:readline";
import { Switchboard } from "../../../src/index.ts";

const actor = new URL("../actors/wedging.ts", import.meta.url);
const options = { actor, sockets: "uring", shards: 1 } as const;

try {
  const boards = [await Switchboard.start(options), await Switchboard.start(options)];
  const [board] = boards;
  const port = await board?.listen({ port: 0, host: "127.0.0.1", accept: "shard" });
  console.log(`port ${port?.port}`);
  createInterface(process.stdin).on("line", async (line) => {
    if (line === "exit") process.exit();
    if (line === "throw") throw new Error("thrown by the main thread");
    await Promise.all(boards.map((one) => one.close({ timeoutMs: 100 })));
    console.log("closed");
    process.exit();
  });
} catch (error) {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (code !== "ERR_NO_URING") throw error;
  console.log(`${code} ${message}`);
  process.exitCode = 3;
}
