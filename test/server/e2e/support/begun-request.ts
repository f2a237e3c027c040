/** Requests to the API that have begun and wait for their rest. */
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { API_KEY } from "../../support/server.ts";

/**
 * Begins a request on a connection of its own, in the middle of its head, or of its body.
 *
 * @returns sends the rest, and resolves with the whole response
 */
export async function beginRequest(
  port: number,
  path: string,
  body: object = {},
  inBody = false,
): Promise<() => Promise<string>> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  const content = JSON.stringify(body);
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${API_KEY}\r\n`;
  const rest = `Content-Length: ${Buffer.byteLength(content)}\r\n\r\n${content}`;
  const begun = inBody ? rest.length - 1 : 0;
  socket.write(head + rest.slice(0, begun));
  return () => {
    socket.write(rest.slice(begun));
    return text(socket);
  };
}
