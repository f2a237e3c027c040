import { describe, expect, it } from "vitest";
import { parseExtensions } from "../../../src/wire/handshake/extensions.ts";
import { acceptDeflate, checkDeflateAnswer, offerDeflate } from "../../../src/wire/handshake/permessage-deflate.ts";
import { checkHandshake } from "../../../src/wire/handshake/server.ts";
import { type CompressionOptions, DEFAULT_COMPRESSION } from "../../../src/wire/protocol/deflate/compression.ts";
import { request } from "./requests.ts";

const keeping = { ...DEFAULT_COMPRESSION, contextTakeover: true };
const small = { ...keeping, windowBits: 11 };

function accept(header: string, options: CompressionOptions) {
  return acceptDeflate(parseExtensions(header) ?? [], options);
}

const OURS = "permessage-deflate; server_no_context_takeover";

describe("a server", () => {
  it.each([
    // The client's context takeover is the client's choice, unless our end keeps no window for it.
    ["", keeping, OURS, [15, 15, true]],
    ["", DEFAULT_COMPRESSION, `${OURS}; client_no_context_takeover`, [15, 15, false]],
    ["; server_no_context_takeover", keeping, OURS, [15, 15, true]],
    ["; client_no_context_takeover", keeping, `${OURS}; client_no_context_takeover`, [15, 15, false]],
    // Our window is the smaller of the client's limit and our option.
    ["; server_max_window_bits=15", keeping, `${OURS}; server_max_window_bits=15`, [15, 15, true]],
    ["; server_max_window_bits=9", keeping, `${OURS}; server_max_window_bits=9`, [9, 15, true]],
    ['; server_max_window_bits="10"', keeping, `${OURS}; server_max_window_bits=10`, [10, 15, true]],
    // The client's window is limited only if the client says that it supports a limit.
    ["; client_max_window_bits", keeping, OURS, [15, 15, true]],
    ["; client_max_window_bits=15", keeping, OURS, [15, 15, true]],
    ["; client_max_window_bits=8", keeping, `${OURS}; client_max_window_bits=8`, [15, 8, true]],
    ["; client_max_window_bits=10", keeping, `${OURS}; client_max_window_bits=10`, [15, 10, true]],
    [
      "; client_max_window_bits",
      small,
      `${OURS}; server_max_window_bits=11; client_max_window_bits=11`,
      [11, 11, true],
    ],
    [
      "; client_max_window_bits=9",
      small,
      `${OURS}; server_max_window_bits=11; client_max_window_bits=9`,
      [11, 9, true],
    ],
    [
      "; server_max_window_bits=14",
      small,
      `${OURS}; client_no_context_takeover; server_max_window_bits=11`,
      [11, 15, false],
    ],
    // Our end keeps no window larger than our option.
    ["", small, `${OURS}; client_no_context_takeover; server_max_window_bits=11`, [11, 15, false]],
    [
      "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=13",
      keeping,
      `${OURS}; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=13`,
      [12, 13, false],
    ],
  ] as const)(
    "answers permessage-deflate%s",
    (offer, options, header, [windowBits, peerWindowBits, peerContextTakeover]) => {
      const agreement = { windowBits, peerWindowBits, peerContextTakeover };
      expect(accept(`permessage-deflate${offer}`, options)).toEqual({ header, agreement });
    },
  );

  const unacceptable = [
    "unknown",
    "unknown=1",
    "server_no_context_takeover=1",
    "client_no_context_takeover=true",
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=010",
    "server_max_window_bits=8",
    "server_max_window_bits=1e1",
    "server_max_window_bits=+9",
    "server_max_window_bits=x",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=09",
    'client_max_window_bits="08"',
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits=9; client_max_window_bits=9",
    "server_no_context_takeover; server_no_context_takeover",
    "Client_Max_Window_Bits",
  ];

  it.each(unacceptable)(
    "declines permessage-deflate; %s, and accepts the next offer that it supports",
    (parameters) => {
      const offer = `permessage-deflate; ${parameters}`;
      expect(accept(offer, keeping)).toBeUndefined();
      expect(accept(`${offer}, ${offer}`, keeping)).toBeUndefined();
      expect(
        accept(`${offer}, permessage-deflate; server_max_window_bits=9, permessage-deflate`, keeping)?.header,
      ).toBe(`${OURS}; server_max_window_bits=9`);
      // Declining doesn't fail the handshake.
      const headers = { "sec-websocket-extensions": offer };
      expect(checkHandshake(request(headers), { compression: keeping })).toMatchObject({
        ok: true,
        deflate: undefined,
      });
    },
  );

  it("ignores other extensions", () => {
    expect(accept("x-webkit-deflate-frame, permessage-bzip2; level=9", keeping)).toBeUndefined();
    expect(accept("x-webkit-deflate-frame, permessage-deflate", keeping)?.header).toBe(OURS);
  });

  it("negotiates nothing when compression is off or not offered", () => {
    const headers = { "sec-websocket-extensions": "permessage-deflate" };
    expect(checkHandshake(request(headers))).toMatchObject({ ok: true, deflate: undefined });
    expect(checkHandshake(request(), { compression: keeping })).toMatchObject({ ok: true, deflate: undefined });
    expect(checkHandshake(request(headers), { compression: keeping })).toMatchObject({
      ok: true,
      deflate: { header: OURS },
    });
  });
});

describe("a client", () => {
  it.each([
    [keeping, "permessage-deflate; client_no_context_takeover; client_max_window_bits"],
    [
      DEFAULT_COMPRESSION,
      "permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits",
    ],
    [small, "permessage-deflate; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=11"],
  ])("with the options %o offers %s", (options, offer) => {
    expect(offerDeflate(options)).toBe(offer);
  });

  it.each([
    ["", keeping, [15, 15, true]],
    ["; server_no_context_takeover", keeping, [15, 15, false]],
    ["; client_no_context_takeover", keeping, [15, 15, true]],
    ["; client_max_window_bits=8", keeping, [8, 15, true]],
    ["; client_max_window_bits=10", keeping, [10, 15, true]],
    ["; server_max_window_bits=8", keeping, [15, 8, true]],
    ["; server_max_window_bits=10; client_max_window_bits=12", small, [11, 10, true]],
    ["; server_max_window_bits=11", small, [11, 11, true]],
    ["; server_no_context_takeover", DEFAULT_COMPRESSION, [15, 15, false]],
  ] as const)("accepts permessage-deflate%s", (answer, options, [windowBits, peerWindowBits, peerContextTakeover]) => {
    const agreement = { windowBits, peerWindowBits, peerContextTakeover };
    expect(checkDeflateAnswer(`permessage-deflate${answer}`, options)).toEqual({ ok: true, agreement });
  });

  it.each([
    ["", keeping, "malformed"],
    ["permessage-deflate;", keeping, "malformed"],
    ["permessage-deflate", undefined, "wasn't offered"],
    ["other", keeping, "wasn't offered"],
    ["permessage-deflate, permessage-deflate", keeping, "more than one"],
    ["permessage-deflate, other", keeping, "more than one"],
    ["permessage-deflate; unknown", keeping, "unknown, repeated or out of range"],
    ["permessage-deflate; server_max_window_bits", keeping, "unknown, repeated or out of range"],
    ["permessage-deflate; server_max_window_bits=16", keeping, "unknown, repeated or out of range"],
    ["permessage-deflate; client_max_window_bits=7", keeping, "unknown, repeated or out of range"],
    ["permessage-deflate; server_no_context_takeover=1", keeping, "unknown, repeated or out of range"],
    [`${OURS}; server_no_context_takeover`, keeping, "unknown, repeated or out of range"],
    ["permessage-deflate; client_max_window_bits", keeping, "without a value"],
    ["permessage-deflate", DEFAULT_COMPRESSION, "server_no_context_takeover was asked for"],
    ["permessage-deflate", small, "at most 11"],
    ["permessage-deflate; server_max_window_bits=12", small, "at most 11"],
  ] as const)("refuses %j", (header, options, reason) => {
    expect(checkDeflateAnswer(header, options)).toEqual({ ok: false, reason: expect.stringContaining(reason) });
  });

  it("continues uncompressed when the answer doesn't contain the extension", () => {
    expect(checkDeflateAnswer(undefined, keeping)).toEqual({ ok: true, agreement: undefined });
    expect(checkDeflateAnswer(undefined, undefined)).toEqual({ ok: true, agreement: undefined });
  });
});

const all = [9, 12, 15].flatMap((windowBits) =>
  [true, false].map((contextTakeover): CompressionOptions => ({ ...DEFAULT_COMPRESSION, windowBits, contextTakeover })),
);

it.each(all.flatMap((client) => all.map((server) => ({ client, server }))))(
  "agree on the same compression: client $client, server $server",
  ({ client, server }) => {
    const accepted = accept(offerDeflate(client), server);
    const answer = checkDeflateAnswer(accepted?.header, client);
    expect(accepted?.agreement.windowBits).toBeLessThanOrEqual(answer.ok ? (answer.agreement?.peerWindowBits ?? 0) : 0);
    expect(answer).toMatchObject({ ok: true, agreement: { windowBits: accepted?.agreement.peerWindowBits } });
  },
);
