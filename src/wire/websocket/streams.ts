/**
 * The web streams of a `WebSocket`: `readable` and `writable`.
 */
import { ReadableStream, WritableStream } from "node:stream/web";
import { SwitchboardError } from "../../errors.ts";
import { CloseCode } from "../protocol/close-code.ts";
import type { Message, Sendable } from "../protocol/message.ts";
import type { SendResult } from "../protocol/send-result.ts";
import { closedError } from "./end-errors.ts";

/** The part of a WebSocket that the streams use. */
export interface StreamedSocket {
  next(): Promise<IteratorResult<Message, undefined>>;
  send(data: Sendable): Promise<SendResult>;
  close(code?: number, reason?: string): void;
  readonly closed: Promise<unknown>;
  readonly error: Error | undefined;
}

/** A stream of the messages. It takes a message only when its reader asks: the inbox is the only buffer. */
export function readableOf(socket: StreamedSocket): ReadableStream<Message> {
  return new ReadableStream<Message>(
    {
      async pull(controller) {
        const { done, value } = await socket.next();
        if (!done) controller.enqueue(value);
        else if (socket.error === undefined) controller.close();
        else controller.error(socket.error);
      },
      cancel: () => socket.close(),
    },
    { highWaterMark: 0 },
  );
}

/** A stream that sends every chunk as a message. */
export function writableOf(socket: StreamedSocket): WritableStream<Sendable> {
  return new WritableStream<Sendable>({
    start(controller) {
      // The error also reaches a producer that is waiting for its own next chunk.
      void socket.closed.then(() => controller.error(closedError()));
    },
    async write(data) {
      const result = await socket.send(data);
      if (result === "closed") throw closedError();
      if (result === "dropped") {
        const message = "more waits for the peer already than maxBufferedBytes allows";
        throw new SwitchboardError("ERR_BUFFER_FULL", message);
      }
    },
    async close() {
      socket.close();
      await socket.closed;
    },
    abort: () => socket.close(CloseCode.internalError, "internal error"),
  });
}
