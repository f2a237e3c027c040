/**
 * Our client under test, through its public API only:
 *
 *     node bench/targets/echo-client.ts URL [--compress]
 *
 * Connects, returns each message as it came, and exits 0 when the server closes; 1 when there is no connection.
 */
import { parseArgs } from "node:util";
import { connect } from "../../src/wire/websocket/index.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { compress: { type: "boolean", default: false } },
});
const [url, ...others] = positionals;
if (url === undefined || others.length > 0) throw new RangeError("usage: echo-client.ts URL [--compress]");

// What a conformance suite sends at most is 16 MiB; what it has in flight is its own choice.
const socket = await connect(url, {
  maxPayloadBytes: 64 * 1024 * 1024,
  maxInboxBytes: 64 * 1024 * 1024,
  compression: values.compress && { contextTakeover: true },
});
for await (const message of socket) await socket.send(message);
await socket.closed;
