/**
 * Switchboard as a server under test, through its public API only:
 *
 *     node bench/targets/switchboard.ts --port P --shards N --mode echo|fanout|isolation|bus [--max-payload BYTES] [--compress] [--relay]
 *         [--handshake main|shard] [--accept main|shard] [--tls KEY CERT] [--busy MICROS]
 *         [--no-warm-up]
 *
 * `echo` returns each message as it came, with `--busy` after so much work; in `fanout` each message goes to all other
 * connections of its path, which is its topic. `isolation` and `bus` are for the loads of these names. `--compress`
 * compresses messages with peers that offer permessage-deflate, context takeover included. With `--relay` the main
 * thread keeps the sockets and relays their bytes. `--tls` takes the paths of two PEM files, and does the handshake in
 * the shards. With one shard and none of these, that shard accepts by itself, for there is nobody to choose among;
 * `--accept main` has the main thread do it. SIGTERM ends it.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type StartOptions, Switchboard } from "../../src/index.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: "string", default: "9001" },
    shards: { type: "string", default: "auto" },
    mode: { type: "string", default: "echo" },
    compress: { type: "boolean", default: false },
    relay: { type: "boolean", default: false },
    handshake: { type: "string" },
    accept: { type: "string" },
    tls: { type: "string" },
    busy: { type: "string" },
    "no-warm-up": { type: "boolean", default: false },
    "max-payload": { type: "string", default: String(1024 * 1024) },
  },
});
if (!["echo", "fanout", "isolation", "bus"].includes(values.mode))
  throw new RangeError(`--mode takes echo, fanout, isolation or bus, got ${values.mode}`);
const { handshake, tls: keyPath } = values;
if (handshake !== undefined && handshake !== "main" && handshake !== "shard")
  throw new RangeError(`--handshake takes main or shard, got ${handshake}`);
const isAlone = values.shards === "1" && !values.relay && handshake === undefined && keyPath === undefined;
const { accept = isAlone ? "shard" : "main" } = values;
if (accept !== "main" && accept !== "shard") throw new RangeError(`--accept takes main or shard, got ${accept}`);
// The second path of --tls.
const certPath = keyPath === undefined ? undefined : positionals.shift();
if (positionals.length > 0) throw new RangeError(`unexpected argument ${positionals[0]}`);
if (keyPath !== undefined && certPath === undefined) throw new RangeError("--tls takes two paths: KEY CERT");
const maxPayloadBytes = Number(values["max-payload"]);

const actor = values.mode === "echo" && values.busy !== undefined ? "busy" : values.mode;
const work = values.busy === undefined ? "" : `?micros=${values.busy}`;

const options: StartOptions = {
  actor: new URL(`./actors/${actor}.ts${work}`, import.meta.url),
  shards: values.shards === "auto" ? "auto" : Number(values.shards),
  warmUp: !values["no-warm-up"],
  sockets: values.relay ? "relay" : "auto",
  maxPayloadBytes,
  compression: values.compress && { contextTakeover: true },
  // What a load generator has in flight is its own choice: it must not be taken for a peer that doesn't read.
  maxMailboxBytes: Math.max(1024 * 1024, maxPayloadBytes),
  maxBufferedBytes: Math.max(64 * 1024 * 1024, 4 * maxPayloadBytes),
};
const board = await Switchboard.start(options);
const { port } = await board.listen({
  port: Number(values.port),
  host: "127.0.0.1",
  ...(values.mode === "fanout" && { path: "/:topic(.*)" }),
  ...(handshake !== undefined && { handshake }),
  accept,
  ...(keyPath && certPath && { tls: { key: readFileSync(keyPath), cert: readFileSync(certPath) } }),
});
console.log(`listening on ${port}`);

process.once("SIGTERM", async () => {
  await board.close({ timeoutMs: 1_000 });
  process.exit(0);
});
