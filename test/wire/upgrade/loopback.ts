/** Pairs of TCP sockets over loopback, for the tests of this folder. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { RawClient } from "../../support/raw-client.ts";

/** Both ends of a TCP connection over loopback. The server's end is as node:http makes it: half-open allowed. */
export async function connectPair(): Promise<{ client: RawClient; server: Socket }> {
  const listener = createServer({ allowHalfOpen: true });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const [client, [server]] = await Promise.all([
    RawClient.connect((listener.address() as AddressInfo).port),
    once(listener, "connection") as Promise<[Socket]>,
  ]);
  listener.close();
  onTestFinished(() => {
    client.socket.destroy();
    server.destroy();
  });
  return { client, server };
}
