/** The first bytes of a connection of a channel. */
import type { Socket } from "node:net";

/** A connection for messages. The server answers with a token. */
export const MESSAGES = "M";
/** A connection for descriptors. The token of its other half follows. */
export const DESCRIPTORS = "D";
export const TOKEN_BYTES = 16;

/** Milliseconds for the two connections of a channel. */
export const CONNECT_TIMEOUT_MS = 5_000;

/** Reads a number of bytes, and no more. Rejects when the socket closes before. */
export function readExactly(socket: Socket, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      socket.off("readable", read).off("close", closed);
    };
    const read = (): void => {
      const found = socket.read(bytes) as Buffer | null;
      if (found === null) return;
      settle();
      // The stream ended early: Node gives what there is.
      if (found.length < bytes) reject(new Error("the connection ended"));
      else resolve(found);
    };
    const closed = (): void => {
      settle();
      reject(new Error("the connection was closed"));
    };
    socket.on("readable", read).on("close", closed);
    if (socket.destroyed) closed();
    else read();
  });
}
