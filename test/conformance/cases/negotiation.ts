/** Offers of compression for servers, and answers for clients (RFC 7692 section 7.1). */
import type { CompressionSetup, DeflateParameters } from "../case.ts";

/** A client's offer, and the parameters of the part of it that the server must accept; undefined if none. */
export interface Offer {
  readonly setup: CompressionSetup | "none";
  readonly offer: string;
  readonly taken: DeflateParameters | undefined;
}

const taken = (offer: string, parameters: DeflateParameters = {}): Offer => ({
  setup: "widest",
  offer,
  taken: parameters,
});
const refused = (offer: string): Offer => ({ setup: "widest", offer, taken: undefined });

/** Source: RFC 7692 sections 5.1 and 7.1. */
export const offers: readonly Offer[] = [
  taken("permessage-deflate"),
  taken("permessage-deflate; client_max_window_bits", { clientMaxWindowBits: true }),
  taken("permessage-deflate;client_max_window_bits=8", { clientMaxWindowBits: 8 }),
  taken("permessage-deflate; client_max_window_bits=10", { clientMaxWindowBits: 10 }),
  taken('permessage-deflate; client_max_window_bits="10"', { clientMaxWindowBits: 10 }),
  taken("permessage-deflate; server_max_window_bits=9", { serverMaxWindowBits: 9 }),
  taken("permessage-deflate ; server_no_context_takeover ;client_no_context_takeover", {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
  }),
  taken("x-unknown; a=b, permessage-deflate"),
  taken("permessage-deflate; unknown, permessage-deflate"),
  taken("permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9", {
    serverMaxWindowBits: 9,
  }),
  taken("permessage-deflate; server_max_window_bits=16, permessage-deflate; server_max_window_bits=12", {
    serverMaxWindowBits: 12,
  }),
  taken("permessage-deflate; server_max_window_bits=10, permessage-deflate", { serverMaxWindowBits: 10 }),
  refused("x-webkit-deflate-frame"),
  refused("permessage-bzip2"),
  refused("permessage-deflate; unknown"),
  refused("permessage-deflate; server_max_window_bits"),
  ...["7", "16", "0", "08", "-9", "9.0", "1e1", "x", "99999999999"].flatMap((bits) => [
    refused(`permessage-deflate; server_max_window_bits=${bits}`),
    refused(`permessage-deflate; client_max_window_bits=${bits}`),
  ]),
  refused("permessage-deflate; server_no_context_takeover=1"),
  refused("permessage-deflate; client_no_context_takeover=true"),
  refused("permessage-deflate; server_no_context_takeover; server_no_context_takeover"),
  refused("permessage-deflate; client_max_window_bits; client_max_window_bits=10"),
  { setup: "none", offer: "permessage-deflate", taken: undefined },
  { setup: "narrow", offer: "permessage-deflate", taken: {} },
  { setup: "narrow", offer: "permessage-deflate; client_max_window_bits", taken: { clientMaxWindowBits: true } },
  { setup: "default", offer: "permessage-deflate; client_max_window_bits", taken: { clientMaxWindowBits: true } },
];

/** Invalid answers of a server to our client's offer. The client must fail the connection for each. */
export const badAnswers: readonly { readonly setup: CompressionSetup | "none"; readonly answer: string }[] = [
  ...[
    "x-unknown",
    "x-unknown, permessage-deflate",
    "permessage-deflate, x-unknown",
    "permessage-deflate, permessage-deflate",
    "permessage-deflate; unknown",
    "permessage-deflate; unknown=1",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; server_no_context_takeover=1",
    "permessage-deflate; client_no_context_takeover=0",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=10; server_max_window_bits=11",
    "permessage-deflate;",
    "permessage-deflate; =",
    'permessage-deflate; server_max_window_bits="',
    ...["7", "16", "0", "08", "-9", "9.0", "x"].flatMap((bits) => [
      `permessage-deflate; server_max_window_bits=${bits}`,
      `permessage-deflate; client_max_window_bits=${bits}`,
    ]),
  ].map((answer) => ({ setup: "widest" as const, answer })),
  { setup: "none", answer: "permessage-deflate" },
  { setup: "narrow", answer: "permessage-deflate" },
  { setup: "narrow", answer: "permessage-deflate; server_no_context_takeover" },
  { setup: "narrow", answer: "permessage-deflate; server_max_window_bits=9" },
  { setup: "narrow", answer: "permessage-deflate; server_no_context_takeover; server_max_window_bits=10" },
  { setup: "medium", answer: "permessage-deflate; server_no_context_takeover; server_max_window_bits=13" },
];
