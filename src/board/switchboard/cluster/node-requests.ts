/** The requests of this board to other nodes that wait for their replies. `Cluster` has one. */
import { reviveOurError, SwitchboardError } from "../../../errors.ts";
import { PendingReplies } from "../../../wire/transport/pending-replies.ts";
import type { ClusterMessage, ClusterReply, ClusterRequest, NodeQuery } from "./messages.ts";

/** Number of requests that may wait for their replies. */
export const MAX_REQUESTS = 65_536;
/** Number of characters of requests to one node that may wait for their replies. */
export const MAX_CHARACTERS_TO_NODE = 32 * 1024 * 1024;
/** Time that a node has to answer a query, in ms: as long as a shard has. */
export const QUERY_TIMEOUT_MS = 5_000;

interface PendingRequest {
  readonly node: string;
  /** True for a request about a connection: where that has gone, another node replies. */
  readonly follows: boolean;
  readonly length: number;
  settle(reply: ClusterReply): void;
}

export interface NodeRequestsOwner {
  /** True if the node is known and the engine can reach it now. */
  isReachable(node: string): boolean;
  /** @param follows true for a request about a connection, which waits while the connection goes to another process */
  send(node: string, message: string, follows: boolean): void;
  /** Returns the node that answers for another one. Default: that node. */
  ownerOf(node: string): string;
}

export class NodeRequests {
  readonly #owner: NodeRequestsOwner;
  readonly #pending = new PendingReplies<PendingRequest>();
  /** Characters of requests that wait for their replies, by node. */
  readonly #lengths = new Map<string, number>();

  constructor(owner: NodeRequestsOwner) {
    this.#owner = owner;
  }

  /**
   * Sends a request, at most once, in the order of the calls. `settle` is called once: with the reply, with `gone` when
   * the node leaves or can't be reached, with `full`, or with `expired` after `timeoutMs`.
   */
  send(node: string, request: ClusterRequest, timeoutMs: number, settle: (reply: ClusterReply) => void): void {
    if (!this.#owner.isReachable(node)) {
      settle({ kind: "gone" });
      return;
    }
    const length = lengthOf(request);
    const waiting = this.#lengths.get(node) ?? 0;
    if (this.#pending.size >= MAX_REQUESTS || (waiting > 0 && waiting + length > MAX_CHARACTERS_TO_NODE)) {
      settle({ kind: "full" });
      return;
    }
    const follows = followsConnection(request);
    const pending: PendingRequest = { node, follows, length, settle };
    const serial = this.#pending.addUntil(pending, timeoutMs, () => this.#settle(pending, { kind: "expired" }));
    this.#lengths.set(node, waiting + length);
    const message: ClusterMessage = { kind: "request", to: node, serial, request };
    this.#owner.send(node, JSON.stringify(message), follows);
  }

  /**
   * Asks a node something. Resolves with undefined if the node is gone, or leaves first. Rejects with the node's own
   * error, and with `ERR_NODE_UNRESPONSIVE` when no answer comes within `timeoutMs`.
   */
  query<Kind extends ClusterReply["kind"]>(
    node: string,
    request: NodeQuery,
    kind: Kind,
    timeoutMs = QUERY_TIMEOUT_MS,
  ): Promise<Extract<ClusterReply, { kind: Kind }> | undefined> {
    const query = Promise.withResolvers<Extract<ClusterReply, { kind: Kind }> | undefined>();
    this.send(node, request, timeoutMs, (reply) => {
      if (reply.kind === kind) query.resolve(reply as Extract<ClusterReply, { kind: Kind }>);
      else if (reply.kind === "gone") query.resolve(undefined);
      else query.reject(explain(node, reply, timeoutMs));
    });
    return query.promise;
  }

  /** Settles a request. A reply of another node than the one that was asked, or one that comes too late, is ignored. */
  replied(from: string, serial: number, reply: ClusterReply): void {
    const pending = this.#pending.get(serial);
    if (pending === undefined || (pending.node !== from && this.#owner.ownerOf(pending.node) !== from)) return;
    this.#pending.take(serial);
    this.#settle(pending, reply);
  }

  /**
   * The node has left: its replies will not come.
   *
   * @param answeredFor nodes that it has answered for
   */
  nodeLeft(node: string, answeredFor: readonly string[]): void {
    const isOver = (one: PendingRequest): boolean => {
      if (answeredFor.includes(one.node)) return one.follows;
      return one.node === node && (!one.follows || this.#owner.ownerOf(node) === node);
    };
    for (const pending of this.#pending.takeAll(isOver)) this.#settle(pending, { kind: "gone" });
  }

  /** Settles all requests as `gone`. */
  close(): void {
    for (const pending of this.#pending.takeAll()) this.#settle(pending, { kind: "gone" });
  }

  #settle({ node, length, settle }: PendingRequest, reply: ClusterReply): void {
    const left = (this.#lengths.get(node) ?? 0) - length;
    if (left > 0) this.#lengths.set(node, left);
    else this.#lengths.delete(node);
    settle(reply);
  }
}

/** True for a request about a connection, which the process with the connection answers. */
export function followsConnection(request: ClusterRequest): boolean {
  return "mail" in request || request.kind === "disconnect";
}

/** Number of characters of the data in a request. */
function lengthOf(request: ClusterRequest): number {
  if ("mail" in request) return request.mail.length;
  return "question" in request ? request.question.length : 0;
}

function explain(node: string, reply: ClusterReply, timeoutMs: number): Error {
  if (reply.kind === "failed")
    return reviveOurError({ ...reply.error, message: `node ${node}: ${reply.error.message}` });
  const message =
    reply.kind === "full"
      ? `node ${node} was not asked: too many requests to it wait for their replies`
      : `node ${node} has not answered within ${timeoutMs} ms`;
  return new SwitchboardError("ERR_NODE_UNRESPONSIVE", message);
}
