/**
 * Switchboard's client as a program under test, through its public API only. Used by the tests with other servers.
 *
 *
 *     node bench/targets/echo-client.ts URL [--compress]
 *
 * Connects, returns each message unchanged, and exits with 0 when the server closes, or with 1 if it can't connect.
 */
import { parseArgs } from "node:util";
import { connect } from "../../src/wire/websocket/index.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { compress: { type: "boolean", default: false } },
});
const [url, ...others] = positionals;
if (url === undefined || others.length > 0) throw new RangeError("usage: echo-client.ts URL [--compress]");

// A conformance suite sends messages of up to 16 MiB, any number of them in flight.
const socket = await connect(url, {
  maxPayloadBytes: 64 * 1024 * 1024,
  maxInboxBytes: 64 * 1024 * 1024,
  compression: values.compress && { contextTakeover: true },
});
for await (const message of socket) await socket.send(message);
await socket.closed;
