/**
 * Switchboard as a server under test, through its public API only:
 *
 *     node bench/targets/switchboard.ts --port P --shards N --mode echo|fanout [--max-payload BYTES] [--compress] [--relay]
 *
 * `echo` returns each message as it came; in `fanout` each message goes to all other connections. With `--compress` messages are compressed
 * with peers that offer permessage-deflate, context takeover included. With `--relay` the main thread keeps the sockets and relays their bytes.
 * SIGTERM ends it.
 */
import { parseArgs } from "node:util";
import { type StartOptions, Switchboard } from "../../src/index.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "9001" },
    shards: { type: "string", default: "auto" },
    mode: { type: "string", default: "echo" },
    compress: { type: "boolean", default: false },
    relay: { type: "boolean", default: false },
    "max-payload": { type: "string", default: String(1024 * 1024) },
  },
});
if (values.mode !== "echo" && values.mode !== "fanout")
  throw new RangeError(`--mode takes echo or fanout, got ${values.mode}`);
const maxPayloadBytes = Number(values["max-payload"]);

const options: StartOptions = {
  actor: new URL(`./actors/${values.mode}.ts`, import.meta.url),
  shards: values.shards === "auto" ? "auto" : Number(values.shards),
  sockets: values.relay ? "relay" : "auto",
  maxPayloadBytes,
  compression: values.compress && { contextTakeover: true },
  // What a load generator has in flight is its own choice: it must not be taken for a peer that doesn't read.
  mailboxLimitBytes: Math.max(1024 * 1024, maxPayloadBytes),
  maxBufferedBytes: Math.max(64 * 1024 * 1024, 4 * maxPayloadBytes),
};
const board = await Switchboard.start(options);
const { port } = await board.listen({ port: Number(values.port), host: "127.0.0.1" });
console.log(`listening on ${port}`);

process.once("SIGTERM", async () => {
  await board.close({ drain: 1_000 });
  process.exit(0);
});
