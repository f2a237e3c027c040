/** Attacks by invalid or huge opening requests. */
import { upgradeRequest } from "../../support/raw-client.ts";
import { type Attack, COMMON_GROWTH_MIB, crowd, type Verdict } from "./attack.ts";
import { Peer } from "./peer.ts";

/** Sends requests that must each get one of these answers. A connection that is accepted must also work. */
function requests(
  fault: string,
  what: string,
  verdicts: readonly Verdict[],
  all: readonly string[],
  full = 2_000,
): Attack {
  return {
    fault,
    tried: (count) => `${count} × ${what}`,
    full,
    short: 50,
    verdicts,
    memoryMiB: COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, 20, async (index) => {
        const peer = await Peer.dial(port);
        await peer.write(all[index % all.length] as string);
        const status = await peer.answer();
        return peer.leave(status === "101" ? await peer.survival() : status);
      }),
  };
}

const extensions = (value: string) => upgradeRequest({ headers: { "Sec-WebSocket-Extensions": value } });

const manyHeaders = (count: number, length: number) =>
  upgradeRequest({
    headers: Object.fromEntries(Array.from({ length: count }, (_, i) => [`X-${i}`, "x".repeat(length)])),
  });

/** Valid offers that the server declines: the connection opens without compression. */
const declined = [
  "permessage-deflate; server_max_window_bits=7",
  "permessage-deflate; server_max_window_bits=16",
  "permessage-deflate; server_max_window_bits=1000000000000000000000",
  "permessage-deflate; server_max_window_bits=-9",
  "permessage-deflate; client_max_window_bits=0",
  "permessage-deflate; client_max_window_bits=08",
  "permessage-deflate; server_no_context_takeover=1",
  "permessage-deflate; unknown",
  "permessage-deflate; client_max_window_bits; client_max_window_bits",
  "x-webkit-deflate-frame, __proto__, constructor; toString=1",
];

const malformed = [
  "permessage-deflate; server_max_window_bits=",
  "permessage-deflate;;;",
  'permessage-deflate; server_max_window_bits="10',
  "permessage-deflate; a b",
  "=",
  ";",
  ",,,",
  Array(33).fill("permessage-deflate").join(", "),
  `permessage-deflate${"; a".repeat(2_000)}`,
  '"'.repeat(8_000),
  `a${" ".repeat(8_000)}b`,
];

export const handshakes: readonly Attack[] = [
  requests(
    "oversized headers",
    "a header of 17 KiB or 1 MiB",
    ["431", "ended"],
    [manyHeaders(1, 17 * 1024), manyHeaders(1, 1024 * 1024), `GET /${"x".repeat(17 * 1024)} HTTP/1.1\r\n`],
  ),
  requests(
    "too many headers",
    "2,000 or 20,000 headers",
    ["431", "ended"],
    [manyHeaders(2_000, 8), manyHeaders(20_000, 1)],
  ),
  requests("extension parameters out of range", "an offer that isn't taken", ["survived"], declined.map(extensions)),
  requests("malformed extensions", "an offer that breaks the grammar", ["400"], malformed.map(extensions)),
  requests(
    "long lists",
    "8,000 subprotocols, or blanks, or an endless Connection",
    ["400", "431"],
    [
      upgradeRequest({ headers: { "Sec-WebSocket-Protocol": "a,".repeat(7_500) } }),
      upgradeRequest({ headers: { "Sec-WebSocket-Protocol": `a${" ".repeat(15_000)}b` } }),
      upgradeRequest({ headers: { "Sec-WebSocket-Protocol": "\t,".repeat(7_500) } }),
      upgradeRequest({ headers: { "Sec-WebSocket-Key": "A".repeat(15_000) } }),
    ],
  ),
  requests(
    "no HTTP at all",
    "noise, TLS, HTTP/2, a frame",
    ["400", "ended"],
    [
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\r\n\r\n",
      "\0".repeat(100),
    ],
  ),
];
