/** Negotiates permessage-deflate: the server's choice among offers, the client's offer and its check of the answer. */
import type { CompressionOptions, DeflateAgreement } from "../protocol/deflate/compression.ts";
import { type Extension, parseExtensions } from "./extensions.ts";

const NAME = "permessage-deflate";

/** A server's answer to an offer, and what the answer means for this end. */
export interface NegotiatedDeflate {
  readonly agreement: DeflateAgreement;
  /** Value of the answer's `Sec-WebSocket-Extensions`. */
  readonly header: string;
}

/** The four parameters that an offer or an answer may have. Source: RFC 7692 section 7.1. */
interface Parameters {
  readonly serverNoContextTakeover: boolean;
  readonly clientNoContextTakeover: boolean;
  readonly serverMaxWindowBits: number | undefined;
  /** A limit; or `true` for a parameter without a value, by which an offer says that the client supports a limit. */
  readonly clientMaxWindowBits: number | true | undefined;
}

const names = [
  "server_no_context_takeover",
  "client_no_context_takeover",
  "server_max_window_bits",
  "client_max_window_bits",
];
const WINDOW_BITS = /^(?:[89]|1[0-5])$/;

/**
 * Chooses the first offer that this server can fulfil, and returns its answer. Returns undefined when there is none;
 * the connection then goes uncompressed. Offers with an unknown, repeated or out-of-range parameter are ignored (RFC
 * 7692 section 7.1).
 */
export function acceptDeflate(
  offers: readonly Extension[],
  options: CompressionOptions,
): NegotiatedDeflate | undefined {
  for (const offer of offers) {
    const parameters = offer.name === NAME ? readParameters(offer) : undefined;
    const accepted = parameters && accept(parameters, options);
    if (accepted !== undefined) return accepted;
  }
  return undefined;
}

function accept(offer: Parameters, options: CompressionOptions): NegotiatedDeflate | undefined {
  // A server must not compress with a larger window than the client asked for, and zlib's smallest window is 9.
  if (offer.serverMaxWindowBits === 8) return undefined;
  const windowBits = Math.min(options.windowBits, offer.serverMaxWindowBits ?? 15);
  const limit = offer.clientMaxWindowBits;
  // A client that doesn't send client_max_window_bits supports no limit: its window is 15 (RFC 7692 section 7.1.2.2).
  const peerWindowBits = limit === undefined ? 15 : Math.min(options.windowBits, limit === true ? 15 : limit);
  const peerContextTakeover =
    options.contextTakeover && !offer.clientNoContextTakeover && peerWindowBits <= options.windowBits;

  // We compress each message by itself, so the client needs to keep no window of ours.
  const answer = [NAME, "server_no_context_takeover"];
  if (!peerContextTakeover) answer.push("client_no_context_takeover");
  if (offer.serverMaxWindowBits !== undefined || windowBits < 15) answer.push(`server_max_window_bits=${windowBits}`);
  if (limit !== undefined && peerWindowBits < 15) answer.push(`client_max_window_bits=${peerWindowBits}`);
  return { agreement: { windowBits, peerWindowBits, peerContextTakeover }, header: answer.join("; ") };
}

/** Returns a client's offer: the value of its `Sec-WebSocket-Extensions`. */
export function offerDeflate({ windowBits, contextTakeover }: CompressionOptions): string {
  const offer = [NAME, "client_no_context_takeover"];
  if (!contextTakeover) offer.push("server_no_context_takeover");
  if (windowBits < 15) offer.push(`server_max_window_bits=${windowBits}`);
  offer.push(windowBits < 15 ? `client_max_window_bits=${windowBits}` : "client_max_window_bits");
  return offer.join("; ");
}

/** The meaning of a server's answer: an agreement, no compression, or a reason to fail the connection. */
export type DeflateAnswer =
  | { readonly ok: true; readonly agreement: DeflateAgreement | undefined }
  | { readonly ok: false; readonly reason: string };

/**
 * Checks the `Sec-WebSocket-Extensions` of a server's answer.
 *
 * @param options the options that `offerDeflate` was called with; undefined when nothing was offered
 *
 * Source: RFC 6455 section 4.1 (an extension that wasn't offered), RFC 7692 section 7.1 (the parameters).
 */
export function checkDeflateAnswer(header: string | undefined, options: CompressionOptions | undefined): DeflateAnswer {
  if (header === undefined) return { ok: true, agreement: undefined };
  const extensions = parseExtensions(header);
  if (extensions === undefined) return refused("Sec-WebSocket-Extensions is malformed");
  const [extension] = extensions;
  if (options === undefined || extension?.name !== NAME) return refused("an extension that wasn't offered");
  if (extensions.length > 1) return refused("more than one extension for one offer");
  const answer = readParameters(extension);
  if (answer === undefined) return refused(`${NAME} with a parameter that is unknown, repeated or out of range`);

  const { windowBits, contextTakeover } = options;
  const { serverMaxWindowBits, clientMaxWindowBits = windowBits, serverNoContextTakeover } = answer;
  if (clientMaxWindowBits === true) return refused("client_max_window_bits without a value");
  if (!contextTakeover && !serverNoContextTakeover) return refused("server_no_context_takeover was asked for");
  if (windowBits < 15 && (serverMaxWindowBits ?? 15) > windowBits) {
    return refused(`server_max_window_bits of at most ${windowBits} was asked for`);
  }
  const agreement = {
    windowBits: Math.min(windowBits, clientMaxWindowBits),
    peerWindowBits: serverMaxWindowBits ?? 15,
    peerContextTakeover: !serverNoContextTakeover,
  };
  return { ok: true, agreement };
}

function refused(reason: string): DeflateAnswer {
  return { ok: false, reason };
}

/**
 * Reads the parameters of an offer or answer. Returns undefined when one is unknown or repeated, has a value that is
 * not allowed, or lacks a required value.
 */
function readParameters({ parameters }: Extension): Parameters | undefined {
  const given = new Map(parameters);
  if (given.size < parameters.length || [...given.keys()].some((name) => !names.includes(name))) return undefined;
  const serverNoContextTakeover = given.get("server_no_context_takeover");
  const clientNoContextTakeover = given.get("client_no_context_takeover");
  const serverMaxWindowBits = given.get("server_max_window_bits");
  const clientMaxWindowBits = given.get("client_max_window_bits");
  if (typeof serverNoContextTakeover === "string" || typeof clientNoContextTakeover === "string") return undefined;
  if (serverMaxWindowBits === true || !isWindowBits(serverMaxWindowBits) || !isWindowBits(clientMaxWindowBits)) {
    return undefined;
  }
  return {
    serverNoContextTakeover: serverNoContextTakeover ?? false,
    clientNoContextTakeover: clientNoContextTakeover ?? false,
    serverMaxWindowBits: serverMaxWindowBits === undefined ? undefined : Number(serverMaxWindowBits),
    clientMaxWindowBits: typeof clientMaxWindowBits === "string" ? Number(clientMaxWindowBits) : clientMaxWindowBits,
  };
}

/** True for a number from 8 to 15 without a leading zero, and when there is no value. */
function isWindowBits(value: string | true | undefined): boolean {
  return typeof value !== "string" || WINDOW_BITS.test(value);
}
