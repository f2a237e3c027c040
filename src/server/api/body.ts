/** Reads the body of a request up to a limit. The API's handler uses it. */
import type { IncomingMessage } from "node:http";
import { EMPTY } from "../../wire/protocol/empty.ts";

/**
 * Resolves with the body, with "tooLarge" before more than `maxBytes` are kept, or with "gone" if the caller leaves
 * first. A body whose Content-Length is too large isn't read at all.
 */
export function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | "tooLarge" | "gone"> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) return Promise.resolve("tooLarge");
  return new Promise((resolve) => {
    let first: Buffer | undefined;
    let chunks: Buffer[] | undefined;
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > maxBytes) {
        chunks = undefined;
        request.removeAllListeners("data");
        resolve("tooLarge");
      } else if (first === undefined) first = chunk;
      else if (chunks === undefined) chunks = [first, chunk];
      else chunks.push(chunk);
    });
    request.on("end", () => resolve(chunks === undefined ? (first ?? EMPTY) : Buffer.concat(chunks, length)));
    request.on("close", () => resolve("gone"));
    request.on("error", () => resolve("gone"));
  });
}

/** Number of bytes beyond the limit that are read and dropped, so that the caller reads the answer. */
const MAX_DROPPED_BYTES = 16 * 1024 * 1024;

/** Drops what is left of a body. A caller that sends too much more is disconnected. */
export function dropBody(request: IncomingMessage): void {
  let length = 0;
  request.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length > MAX_DROPPED_BYTES) request.destroy();
  });
  request.resume();
}
