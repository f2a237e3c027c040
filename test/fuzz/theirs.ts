/** Decodes a session with the Receiver of ws. Used by `verdict.ts`. */
import type { Writable } from "node:stream";
import * as ws from "ws";
import { type Seen, seenClose } from "../wire/protocol/decoding/decoding.ts";
import type { Limits, Session } from "./session.ts";

/** The parts of `ws` that correspond to our decoder. The types of `ws` leave them out. */
const { Receiver, PerMessageDeflate } = ws as unknown as {
  readonly Receiver: new (options: object) => Writable;
  readonly PerMessageDeflate: new (options: object) => { params: object; cleanup(): void };
};

/** Result of ws for a session. */
export interface Theirs {
  readonly events: readonly Seen[];
  /** Close code of a violation; undefined if there was none. */
  readonly violation: number | undefined;
}

/** Decodes a session and the epilogue with ws, in one piece. */
export async function decodeTheirs(
  { role, agreement, bytes }: Session,
  limits: Limits,
  epilogue: Buffer,
): Promise<Theirs> {
  const isServer = role === "server";
  const { maxPayloadBytes: maxPayload, maxFragments } = limits;
  const deflate = agreement === "none" ? undefined : new PerMessageDeflate({ isServer, maxPayload });
  if (deflate !== undefined) {
    const alone = agreement === "alone";
    deflate.params = { client_no_context_takeover: alone, server_no_context_takeover: alone };
  }
  const extensions = deflate === undefined ? {} : { "permessage-deflate": deflate };
  const receiver = new Receiver({ isServer, extensions, allowSynchronousEvents: true, maxPayload, maxFragments });
  const events: Seen[] = [];
  const seen = (kind: "text" | "binary" | "ping" | "pong", data: Buffer) =>
    events.push({ kind, payload: data.toString("hex") });
  receiver.on("message", (data: Buffer, isBinary: boolean) => seen(isBinary ? "binary" : "text", data));
  receiver.on("ping", (data: Buffer) => seen("ping", data));
  receiver.on("pong", (data: Buffer) => seen("pong", data));
  const concluded = new Promise<undefined>((resolve) => {
    receiver.on("conclude", (code: number, reason: Buffer) => {
      events.push(seenClose(code, reason.toString()));
      resolve(undefined);
    });
  });
  receiver.on("error", () => {});
  const written = new Promise<Error | null | undefined>((resolve) =>
    receiver.write(Buffer.concat([bytes, epilogue]), resolve),
  );
  const error = await Promise.race([written, concluded]);
  deflate?.cleanup();
  return { events, violation: error == null ? undefined : closeCodeOf(error) };
}

function closeCodeOf(error: Error): number {
  const symbol = Object.getOwnPropertySymbols(error).find(({ description }) => description === "status-code");
  return symbol === undefined ? Number.NaN : ((error as unknown as Record<symbol, number>)[symbol] ?? Number.NaN);
}
