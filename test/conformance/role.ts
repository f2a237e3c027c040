/** The interface of a role (an end under test), and helpers for its opening handshake. */
import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import type { DeflateParameters, DeflateTerms } from "./case.ts";
import type { Peer } from "./peer.ts";

/** One way to connect to an end under test, which echoes every message. */
export interface Role {
  readonly name: string;
  /** Opens a connection, with compression if `deflate` is given. */
  open(deflate?: DeflateTerms): Promise<Peer>;
  close(): Promise<void>;
}

/** Largest message of the ends under test, in bytes. */
export const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;

/** Reads the head of a request or an answer, and the bytes behind it. */
export async function readHead(socket: Duplex): Promise<{ lines: string[]; rest: Buffer }> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const end = bytes.indexOf("\r\n\r\n");
    if (end !== -1) return { lines: bytes.toString("latin1", 0, end).split("\r\n"), rest: bytes.subarray(end + 4) };
    const chunk: Buffer = await new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error(`the connection ended in the handshake: ${bytes}`));
      socket.once("close", ended).once("data", (data: Buffer) => {
        socket.off("close", ended).pause();
        resolve(data);
      });
      socket.resume();
    });
    bytes = Buffer.concat([bytes, chunk]);
  }
}

/** Value of a header; undefined if there is none. */
export function headerOf(lines: readonly string[], name: string): string | undefined {
  const start = `${name.toLowerCase()}:`;
  return lines
    .find((line) => line.toLowerCase().startsWith(start))
    ?.slice(start.length)
    .trim();
}

export function acceptFor(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** Parses an extension header of an offer or an answer. Throws unless the header is one valid `permessage-deflate`. */
export function parseDeflate(header: string): DeflateParameters {
  const [name, ...parameters] = header.split(";").map((piece) => piece.trim());
  if (name !== "permessage-deflate") throw new Error(`an extension that isn't known: ${header}`);
  const given = new Map(
    parameters.map((parameter): [string, string | undefined] => {
      const [key = "", value] = parameter.split("=");
      return [key, value];
    }),
  );
  if (given.size < parameters.length) throw new Error(`a parameter is repeated: ${header}`);
  const flag = (key: string): boolean => {
    const has = given.has(key);
    if (has && given.get(key) !== undefined) throw new Error(`${key} takes no value: ${header}`);
    given.delete(key);
    return has;
  };
  const bits = (key: string): number | true | undefined => {
    if (!given.has(key)) return undefined;
    const value = given.get(key);
    if (value !== undefined && !/^(8|9|1[0-5])$/.test(value)) throw new Error(`${key} is no window: ${header}`);
    given.delete(key);
    return value === undefined ? true : Number(value);
  };
  const serverMaxWindowBits = bits("server_max_window_bits");
  const clientMaxWindowBits = bits("client_max_window_bits");
  if (serverMaxWindowBits === true) throw new Error(`server_max_window_bits without a value: ${header}`);
  const read = {
    serverNoContextTakeover: flag("server_no_context_takeover"),
    clientNoContextTakeover: flag("client_no_context_takeover"),
    ...(serverMaxWindowBits !== undefined && { serverMaxWindowBits }),
    ...(clientMaxWindowBits !== undefined && { clientMaxWindowBits }),
  };
  if (given.size > 0) throw new Error(`parameters that aren't known: ${header}`);
  return read;
}

export function formatDeflate(parameters: DeflateParameters): string {
  const { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits } = parameters;
  const parts = ["permessage-deflate"];
  if (serverNoContextTakeover) parts.push("server_no_context_takeover");
  if (clientNoContextTakeover) parts.push("client_no_context_takeover");
  if (serverMaxWindowBits !== undefined) parts.push(`server_max_window_bits=${serverMaxWindowBits}`);
  if (clientMaxWindowBits === true) parts.push("client_max_window_bits");
  else if (clientMaxWindowBits !== undefined) parts.push(`client_max_window_bits=${clientMaxWindowBits}`);
  return parts.join("; ");
}
