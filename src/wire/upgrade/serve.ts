/** The server calls `serveUpgrades` and `answerUpgrade`: they answer upgrades and CONNECT for a user's service. */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";
import { checkFunction, checkServer, checkUpgrade } from "./arguments.ts";
import { earlierResponses } from "./earlier-responses.ts";
import { noop } from "./empty.ts";
import { abandonedError, Exchange, refusedError } from "./on-upgrade.ts";
import {
  type AnswerHeaders,
  connectionEstablished,
  refuseUpgrade,
  switchingProtocols,
  type UpgradeRefusal,
} from "./response.ts";

/** An answer that leaves HTTP. */
export interface UpgradeAcceptance {
  /** 101 to an upgrade, 200 to CONNECT. */
  readonly status: 101 | 200;
  /**
   * Headers to add. A 101 gets `Connection: Upgrade` and the protocol of the request as `Upgrade` by itself. `Upgrade`
   * is required here when the request offers several protocols.
   */
  readonly headers?: AnswerHeaders;
}

export type UpgradeAnswer = UpgradeAcceptance | UpgradeRefusal;

/** Decides how a request is answered. The byte stream comes from `onUpgrade(request)`. */
export type UpgradeService = (request: IncomingMessage) => UpgradeAnswer | Promise<UpgradeAnswer>;

/**
 * Serves every upgrade and CONNECT of a server. Returns a function that stops serving; open streams stay open.
 *
 * Take the stream of an accepted request with `onUpgrade(request)`, at once or later. A socket that nobody takes stays
 * open. Throws `ERR_ARGUMENT` for what is no server and no function.
 */
export function serveUpgrades(server: Server, service: UpgradeService): () => void {
  checkServer("serveUpgrades", server);
  checkFunction("serveUpgrades", "service", service);
  const listener = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    void answerUpgrade(request, socket, head, service);
  };
  server.on("upgrade", listener).on("connect", listener);
  return () => {
    server.off("upgrade", listener).off("connect", listener);
  };
}

/**
 * Serves one exchange, given the arguments of a server's `upgrade` or `connect` event. An error of the service is
 * answered with 500, and `onUpgrade(request)` rejects with that error; if nobody has called that, the error becomes a
 * process warning, at most one in a second. Responses to earlier requests on the same connection are sent before the
 * answer, however long they take. Rejects only with `ERR_ARGUMENT`, for wrong arguments.
 */
export async function answerUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  service: UpgradeService,
): Promise<void> {
  checkUpgrade("answerUpgrade", request, socket, head);
  checkFunction("answerUpgrade", "service", service);
  const exchange = new Exchange(request);
  if (socket.destroyed) return exchange.fail(abandonedError(socket.errored));
  const onClose = (): void => exchange.fail(abandonedError(socket.errored));
  // The close that follows an error reports the error.
  socket.on("close", onClose).on("error", noop);
  // A peer may end its direction before it is answered: the sockets of an https server would end ours with that.
  socket.allowHalfOpen = true;
  try {
    const answer = await service(request);
    await earlierResponses(request);
    if (socket.destroyed) return;
    if (isAcceptance(answer, request)) {
      await written(socket, acceptanceHead(answer, request));
      exchange.succeed(socket, head);
      socket.off("close", onClose).off("error", noop);
    } else {
      refuseUpgrade(socket, answer as UpgradeRefusal);
      exchange.fail(refusedError(answer.status));
    }
  } catch (error) {
    if (!exchange.isAsked && !socket.destroyed) showFailure(error);
    exchange.fail(error as Error);
    await earlierResponses(request);
    if (!socket.destroyed) refuseUpgrade(socket, { status: 500 });
  }
}

/** Time in ms between two warnings: each request may make a service fail. */
const BETWEEN_WARNINGS_MS = 1_000;
let warnedAt = Number.NEGATIVE_INFINITY;

/** Shows the error of a service that nobody else would see. */
function showFailure(error: unknown): void {
  const now = performance.now();
  if (now - warnedAt < BETWEEN_WARNINGS_MS) return;
  warnedAt = now;
  process.emitWarning(error instanceof Error ? (error.stack ?? error.message) : String(error), {
    type: "SwitchboardWarning",
    code: "upgradeFailed",
    detail: "A service failed, and its upgrade was answered with 500. onUpgrade(request) rejects with each such error.",
  });
}

function isAcceptance({ status }: UpgradeAnswer, { method }: IncomingMessage): boolean {
  return status === (method === "CONNECT" ? 200 : 101);
}

function acceptanceHead({ status, headers = {} }: UpgradeAnswer, request: IncomingMessage): string {
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  // The answer has no body, so it may announce no length. Source: RFC 9110 sections 8.6 and 9.3.6.
  const framing = names.find((name) => name === "content-length" || name === "transfer-encoding");
  if (framing !== undefined) throw answerError(`an answer that leaves HTTP has no ${framing}`);
  if (status !== 101) return connectionEstablished(headers);
  const own: Record<string, string> = {};
  if (!names.includes("connection")) own["Connection"] = "Upgrade";
  // The Upgrade header of a 101 names the protocol that follows. Source: RFC 9110 section 15.2.2.
  if (!names.includes("upgrade")) own["Upgrade"] = onlyProtocol(request);
  return switchingProtocols({ ...own, ...headers });
}

function onlyProtocol({ headers: { upgrade = "" } }: IncomingMessage): string {
  if (!upgrade.includes(",")) return upgrade;
  throw answerError(`the request offers ${upgrade}: name the chosen protocol in the answer's Upgrade header`);
}

function answerError(message: string): SwitchboardError {
  return new SwitchboardError("ERR_UPGRADE_ANSWER", message);
}

/** Writes `bytes`. Resolves when the operating system has them; rejects when the socket is closed first. */
function written(socket: Duplex, bytes: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, "latin1", (error) => (error == null ? resolve() : reject(abandonedError(error))));
  });
}
