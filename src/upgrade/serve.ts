import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { abandonedError, Exchange, refusedError } from "./on-upgrade.ts";
import { connectionEstablished, refuseUpgrade, switchingProtocols, type UpgradeRefusal } from "./response.ts";

/** Leaves HTTP: 101 to an upgrade, 200 to CONNECT. */
export interface UpgradeAcceptance {
  readonly status: 101 | 200;
  readonly headers?: Readonly<Record<string, string>>;
}

export type UpgradeAnswer = UpgradeAcceptance | UpgradeRefusal;

/** From a request to its answer, and nothing else: whoever wants the byte stream awaits `onUpgrade(request)`. */
export type UpgradeService = (request: IncomingMessage) => UpgradeAnswer | Promise<UpgradeAnswer>;

/** Serves every upgrade and CONNECT of a server. Returns a function that ends that. */
export function serveUpgrades(server: Server, service: UpgradeService): () => void {
  const listener = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    void answerUpgrade(request, socket, head, service);
  };
  server.on("upgrade", listener).on("connect", listener);
  return () => {
    server.off("upgrade", listener).off("connect", listener);
  };
}

/**
 * Serves one exchange, from the arguments of a server's `upgrade` or `connect` event. What the service throws is answered with 500 and given
 * to whoever awaits `onUpgrade(request)`. Never rejects.
 */
export async function answerUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  service: UpgradeService,
): Promise<void> {
  const exchange = new Exchange(request);
  const onClose = (): void => exchange.fail(abandonedError());
  const onError = (): void => {};
  socket.on("close", onClose).on("error", onError);
  try {
    const answer = await service(request);
    if (socket.destroyed) return;
    if (isAcceptance(answer, request)) {
      await written(socket, acceptanceHead(answer));
      exchange.succeed(socket, head);
      socket.off("close", onClose).off("error", onError);
    } else {
      refuseUpgrade(socket, answer as UpgradeRefusal);
      exchange.fail(refusedError(answer.status));
    }
  } catch (error) {
    exchange.fail(error as Error);
    if (!socket.destroyed) refuseUpgrade(socket, { status: 500 });
  }
}

function isAcceptance({ status }: UpgradeAnswer, { method }: IncomingMessage): boolean {
  return status === (method === "CONNECT" ? 200 : 101);
}

function acceptanceHead({ status, headers = {} }: UpgradeAnswer): string {
  return status === 101 ? switchingProtocols(headers) : connectionEstablished(headers);
}

/** Resolves when the operating system has the bytes; rejects when the socket is closed first. */
function written(socket: Duplex, bytes: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, "latin1", (error) => (error == null ? resolve() : reject(abandonedError(error))));
  });
}
