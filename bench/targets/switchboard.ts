/**
 * Switchboard as a server under test, through its public API only:
 *
 *     node bench/targets/switchboard.ts --port P --shards N --mode echo|fanout|isolation|bus|stream-fanout|stream
 *         [--busy MICROS] [--history SIZE]
 *         [--max-payload BYTES] [--compress] [--relay] [--sockets node|uring|relay] [--handshake main|shard]
 *         [--accept main|shard] [--tls KEY CERT] [--no-warm-up]
 *
 * - `echo` returns each message unchanged, with `--busy` after that many µs of work.
 * - `fanout` sends each message to all other connections of its URL path, which is the topic.
 * - `isolation` and `bus` are for the loads of these names, `stream` for the loads whose names begin so.
 * - `stream-fanout` is `fanout` without the connections that publish among the subscribers.
 * - `--history` makes the topics that begin with `stream/` keep that many publications.
 * - `--compress` compresses messages for peers that offer permessage-deflate, with context takeover.
 * - `--sockets` is the board's option of this name. `--relay` is short for `--sockets relay`.
 * - `--tls` takes the paths of two PEM files. The shards do the TLS handshake.
 * - `--accept` says which thread accepts connections. The default is `shard` for one shard without `--relay`,
 *   `--handshake` and `--tls`, and `main` otherwise.
 * - `--no-warm-up` leaves out the warm-up of the shards.
 *
 * Prints `listening on PORT`. SIGTERM ends the server.
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
    sockets: { type: "string" },
    handshake: { type: "string" },
    accept: { type: "string" },
    tls: { type: "string" },
    busy: { type: "string" },
    history: { type: "string" },
    "no-warm-up": { type: "boolean", default: false },
    "max-payload": { type: "string", default: String(1024 * 1024) },
  },
});
const MODES = ["echo", "fanout", "isolation", "bus", "stream-fanout", "stream"];
if (!MODES.includes(values.mode)) throw new RangeError(`--mode takes ${MODES.join(", ")}, got ${values.mode}`);
const { handshake, tls: keyPath } = values;
if (handshake !== undefined && handshake !== "main" && handshake !== "shard")
  throw new RangeError(`--handshake takes main or shard, got ${handshake}`);
const sockets = (values.relay ? "relay" : (values.sockets ?? "auto")) as NonNullable<StartOptions["sockets"]>;
const acceptsInShard = values.shards === "1" && sockets !== "relay" && handshake === undefined && keyPath === undefined;
const { accept = acceptsInShard ? "shard" : "main" } = values;
if (accept !== "main" && accept !== "shard") throw new RangeError(`--accept takes main or shard, got ${accept}`);
// The second path of `--tls` is a positional argument.
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
  sockets,
  maxPayloadBytes,
  compression: values.compress && { contextTakeover: true },
  ...(values.history !== undefined && { topics: { "stream/*": { history: { size: Number(values.history) } } } }),
  // A load may have any number of messages in flight. The limits are high, so that it doesn't pass for a slow consumer.
  maxMailboxBytes: Math.max(1024 * 1024, maxPayloadBytes),
  maxBufferedBytes: Math.max(64 * 1024 * 1024, 4 * maxPayloadBytes),
};
const board = await Switchboard.start(options);
const { port } = await board.listen({
  port: Number(values.port),
  host: "127.0.0.1",
  ...(["fanout", "stream-fanout", "stream"].includes(values.mode) && { path: "/:topic(.*)" }),
  ...(handshake !== undefined && { handshake }),
  accept,
  ...(keyPath && certPath && { tls: { key: readFileSync(keyPath), cert: readFileSync(certPath) } }),
});
console.log(`listening on ${port}`);

process.once("SIGTERM", async () => {
  await board.close({ timeoutMs: 1_000 });
  process.exit(0);
});
