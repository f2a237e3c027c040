import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";
import { abandonedError, Exchange, refusedError } from "./on-upgrade.ts";
import { connectionEstablished, refuseUpgrade, switchingProtocols, type UpgradeRefusal } from "./response.ts";

/** Leaves HTTP: 101 to an upgrade, 200 to CONNECT. */
export interface UpgradeAcceptance {
  readonly status: 101 | 200;
  /**
   * A 101 gets its `Connection: Upgrade` by itself, and names the protocol of the request when `Upgrade` is not among these. For a request
   * that offers several, it must be.
   */
  readonly headers?: Readonly<Record<string, string>>;
}

export type UpgradeAnswer = UpgradeAcceptance | UpgradeRefusal;

/** From a request to its answer, and nothing else: whoever wants the byte stream awaits `onUpgrade(request)`. */
export type UpgradeService = (request: IncomingMessage) => UpgradeAnswer | Promise<UpgradeAnswer>;

/**
 * Serves every upgrade and CONNECT of a server. Returns a function that ends that, and leaves alone what is open.
 *
 * What a service accepts is somebody's to take by `onUpgrade(request)`, from then on or later: a socket that nobody takes stays open.
 */
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
  if (socket.destroyed) return exchange.fail(abandonedError(socket.errored));
  const onClose = (): void => exchange.fail(abandonedError(socket.errored));
  // What an error means is told by the close that follows.
  const onError = (): void => {};
  socket.on("close", onClose).on("error", onError);
  // A peer may end its direction before it is answered: the sockets of an https server would end ours with that.
  socket.allowHalfOpen = true;
  try {
    const answer = await service(request);
    if (socket.destroyed) return;
    if (isAcceptance(answer, request)) {
      await written(socket, acceptanceHead(answer, request));
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

function acceptanceHead({ status, headers = {} }: UpgradeAnswer, request: IncomingMessage): string {
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  // A length would be that of a body, and there is none. Source: RFC 9110 sections 8.6 and 9.3.6.
  const framing = names.find((name) => name === "content-length" || name === "transfer-encoding");
  if (framing !== undefined) throw answerError(`an answer that leaves HTTP has no ${framing}`);
  if (status !== 101) return connectionEstablished(headers);
  const own: Record<string, string> = {};
  if (!names.includes("connection")) own["Connection"] = "Upgrade";
  // Source: RFC 9110 section 15.2.2, the Upgrade of a 101 says which protocol follows.
  if (!names.includes("upgrade")) own["Upgrade"] = onlyProtocol(request);
  return switchingProtocols({ ...own, ...headers });
}

function onlyProtocol({ headers: { upgrade = "" } }: IncomingMessage): string {
  if (!upgrade.includes(",")) return upgrade;
  throw answerError(`the request offers ${upgrade}: say in the answer's Upgrade header which of them follows`);
}

function answerError(message: string): SwitchboardError {
  return new SwitchboardError("ERR_UPGRADE_ANSWER", message);
}

/** Resolves when the operating system has the bytes; rejects when the socket is closed first. */
function written(socket: Duplex, bytes: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, "latin1", (error) => (error == null ? resolve() : reject(abandonedError(error))));
  });
}
