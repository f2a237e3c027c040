/**
 * The other nodes of a board whose engine is shared: mail to their actors, queries about their connections, and what is
 * known about them. `Switchboard` has one; without a shared engine there are no other nodes.
 */
import { reportError, SwitchboardError } from "../../../errors.ts";
import { type Address, nodeOf } from "../../../runtime/actor/address.ts";
import type { Elsewhere, RemoteMail, RemoteOutcome } from "../../../runtime/mail/elsewhere.ts";
import { packMail, unpackMail } from "../../../runtime/mail/packed-mail.ts";
import type { ConnectionsPage, ListConnectionsOptions } from "../listing.ts";
import type { Survey, SurveyAnswer } from "../survey.ts";
import { listNodes, type NodePageOptions, packPage, unpackPage } from "./connection-pages.ts";
import {
  type ClusterMessage,
  type ClusterReply,
  type ClusterRequest,
  cutReport,
  type MailRequest,
  type NodeQuery,
  parseMessage,
} from "./messages.ts";
import {
  type ClusterStats,
  type NodeFacts,
  NodeList,
  type NodeListOwner,
  type NodeStatus,
  sumNodes,
} from "./node-list.ts";
import { followsConnection, NodeRequests } from "./node-requests.ts";
import { packAnswers, unpackAnswers } from "./survey-answers.ts";

/** The way to the engine. */
export interface ClusterLink {
  /** Id of this node. */
  readonly node: string;
  /** True if other nodes may run the same engine. Known once the engine has started. */
  readonly isShared: boolean;
  /** True while the engine works. */
  readonly isUp: boolean;
  sendControl(to: string, message: string, waits: boolean): void;
  announce(facts: string): void;
}

/** The part of this node that the cluster uses. */
export interface ClusterOwner extends NodeListOwner {
  readonly link: ClusterLink;
  /** Facts about this node now. */
  facts(): NodeFacts;
  /** Delivers mail to an actor of this node. `settle` is called once. */
  deliver(mail: RemoteMail, settle: (outcome: RemoteOutcome) => void): void;
  /** Lists connections of this node. */
  list(options: NodePageOptions): Promise<ConnectionsPage>;
  /** Closes a connection of this node. Resolves with true if it was open. */
  disconnect(address: Address, code: number, reason: string): Promise<boolean>;
  /** Asks all shards of this node. Never rejects. */
  survey(survey: Survey): Promise<SurveyAnswer[]>;
}

/** Time between two announcements of facts, in ms. */
const ANNOUNCE_EACH_MS = 3_000;
/** Number of queries of other nodes that are answered at a time. More are not answered. */
const MAX_QUERIES = 256;
/** Part of the time of a survey that the shards of other nodes have. The rest is for the way. */
const REMOTE_SHARE = 0.8;

export class Cluster implements Elsewhere {
  readonly #owner: ClusterOwner;
  readonly #link: ClusterLink;
  readonly #nodes: NodeList;
  readonly #requests: NodeRequests;
  #timer: NodeJS.Timeout | undefined;
  #announced = "";
  #queries = 0;
  #isClosed = false;
  /** Ids in the addresses of this node's actors: its own, and those of nodes that it answers for. */
  #ids: ReadonlySet<string | undefined>;
  #isHandedOver = false;
  /** Number of control messages that made no sense, and of queries that there was no room for. */
  #dropped = 0;

  constructor(owner: ClusterOwner) {
    this.#owner = owner;
    this.#link = owner.link;
    this.#ids = new Set([this.#link.node]);
    this.#nodes = new NodeList(owner);
    this.#requests = new NodeRequests({
      isReachable: (node) => this.#link.isUp && this.#nodes.has(node) && !this.#isClosed,
      send: (node, message, follows) => this.#link.sendControl(node, message, follows),
      ownerOf: (node) => this.#nodes.ownerOf(node),
    });
  }

  /** Begins to announce this node, if the engine is shared. */
  start(): void {
    if (!this.#link.isShared) return;
    this.#announce();
    this.#timer = setInterval(() => this.#announce(), ANNOUNCE_EACH_MS);
    this.#timer.unref();
  }

  /** Settles everything that waits for other nodes. This board knows no other node from now on. */
  close(): void {
    clearInterval(this.#timer);
    this.#isClosed = true;
    this.#requests.close();
  }

  /** Connections of other nodes have come to this one: it gets what is sent to them. */
  answerFor(nodes: readonly string[]): void {
    this.#ids = new Set([this.#link.node, ...nodes]);
    this.#announce();
  }

  /** The connections of this node have gone to another, which gets what is sent to them. */
  handedOver(): void {
    this.#isHandedOver = true;
    this.#ids = new Set();
  }

  /** A node has appeared, has changed its facts, or is gone (`facts` is then undefined). */
  nodeChanged(id: string, facts: string | undefined): void {
    if (this.#isClosed) return;
    if (facts !== undefined) {
      this.#nodes.changed(id, facts);
      return;
    }
    const orphans = this.#nodes.left(id);
    if (orphans !== undefined) this.#requests.nodeLeft(id, orphans);
  }

  /** The engine thread has ended: this board hears of no node until the next thread does. */
  engineLost(): void {
    for (const id of this.#nodes.ids()) this.nodeChanged(id, undefined);
  }

  /** A control message has come. What makes no sense is counted. Never throws. */
  controlReceived(from: string, json: string): void {
    const message = parseMessage(json);
    if (message === undefined) {
      this.#dropped++;
      return;
    }
    const { to = this.#link.node, serial } = message;
    if (message.kind === "reply") {
      // A node gets the replies to those that it answers for, too.
      if (to === this.#link.node) this.#requests.replied(from, serial, message.reply);
    } else if (this.#isForThis(to, message.request)) {
      this.#answer(message.request, (reply) => this.#send(from, { kind: "reply", to: from, serial, reply }));
    }
  }

  /** False for a request that another node gets as well, and answers. */
  #isForThis(to: string, request: ClusterRequest): boolean {
    return followsConnection(request) ? this.#ids.has(to) : to === this.#link.node;
  }

  /** Returns all nodes, in the order of their ids; only this node after `close`. */
  nodes(): NodeStatus[] {
    const self = { id: this.#link.node, isSelf: true, ...this.#owner.facts() };
    if (this.#isClosed) return [self];
    return [self, ...this.#nodes.others()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Returns the sum over all nodes, without asking them; undefined without a shared engine. */
  stats(): ClusterStats | undefined {
    if (!this.#link.isShared) return undefined;
    return { ...sumNodes(this.nodes()), messagesDropped: this.#dropped };
  }

  /** Sends mail to an actor of another node. */
  send({ kind, to, from, bytes, timeoutMs }: RemoteMail, settle: (outcome: RemoteOutcome) => void): void {
    const mail = toBase64(bytes);
    this.#requests.send(this.#nodeOf(to), { kind, to, from, mail, timeoutMs }, timeoutMs, (reply) => {
      settle(outcomeOf(kind, reply));
    });
  }

  /** Resolves with one page of the connections of all nodes, or of one. */
  async connections({ node, ...options }: ListConnectionsOptions): Promise<ConnectionsPage> {
    const { node: self, isShared } = this.#link;
    const limit = options.limit ?? 100;
    if (node === undefined && !isShared) return this.#owner.list({ ...options, limit });
    const others = this.#isClosed ? [] : this.#nodes.ids();
    const nodes = node === undefined ? [self, ...others] : [node];
    return listNodes(nodes, options, async (one, pageOptions) => {
      if (one === self) return this.#owner.list(pageOptions);
      const page = await this.#listOther(one, pageOptions);
      if (page === undefined && node !== undefined) throw nodeGone(node);
      return page;
    });
  }

  /** Closes a connection of any node. Resolves with true if it was open. */
  async disconnect(address: Address, code: number, reason: string): Promise<boolean> {
    const node = this.#nodeOf(address);
    if (node === "" || this.#ids.has(node)) return this.#owner.disconnect(address, code, reason);
    this.#checkUp(node);
    const reply = await this.#requests.query(node, { kind: "disconnect", address, code, reason }, "disconnected");
    return reply?.wasOpen ?? false;
  }

  /**
   * Resolves with the answers of all shards of all nodes, by node, then by shard. Rejects with `ERR_MAIL_TOO_LARGE` and
   * `ERR_MAIL_NOT_CLONEABLE` if the question can't be sent.
   */
  async survey(survey: Survey): Promise<SurveyAnswer[]> {
    const { node: self } = this.#link;
    const others = this.#isClosed || survey.isLocal ? [] : this.#nodes.ids();
    const question = others.length === 0 ? "" : toBase64(packMail(survey.question));
    const nodes = [self, ...others].toSorted();
    const answers = nodes.map((node) =>
      node === self ? this.#owner.survey(survey) : this.#surveyOther(node, question, survey),
    );
    return (await Promise.all(answers)).flat();
  }

  async #surveyOther(node: string, question: string, { actor, timeoutMs }: Survey): Promise<SurveyAnswer[]> {
    try {
      this.#checkUp(node);
      // The shards there have less time, so that their answers come before this node stops to wait.
      const time = Math.max(1, Math.floor(timeoutMs * REMOTE_SHARE));
      const request: NodeQuery = { kind: "survey", actor, question, timeoutMs: time };
      const reply = await this.#requests.query(node, request, "surveyed", timeoutMs);
      if (reply === undefined) throw nodeGone(node);
      const answers = unpackAnswers(node, reply.answers);
      if (answers !== undefined) return answers;
      throw new SwitchboardError("ERR_NODE_UNRESPONSIVE", `node ${node} has answered something that can't be read`);
    } catch (error) {
      return [{ node, shard: undefined, kind: "failed", error: error as Error }];
    }
  }

  async #listOther(node: string, options: NodePageOptions): Promise<ConnectionsPage | undefined> {
    this.#checkUp(node);
    const page = await this.#requests.query(node, { kind: "list", ...options }, "page");
    if (page === undefined) return undefined;
    const connections = unpackPage(page.connections, options.limit);
    if (connections !== undefined) return { connections, cursor: page.cursor };
    throw new SwitchboardError("ERR_NODE_UNRESPONSIVE", `node ${node} has answered something that is no page`);
  }

  /** Throws `ERR_CLOSED` after `close`, and `ERR_ENGINE_UNAVAILABLE` when a node of the cluster can't be asked now. */
  #checkUp(node: string): void {
    if (this.#isClosed) throw new SwitchboardError("ERR_CLOSED", "this board is closed");
    if (this.#link.isUp || !this.#nodes.has(node)) return;
    throw new SwitchboardError("ERR_ENGINE_UNAVAILABLE", `node ${node} can't be asked: the engine isn't up`);
  }

  /** Returns the node to ask about an address; "" for an address that names none. */
  #nodeOf(address: Address): string {
    const node = nodeOf(address) ?? "";
    // A message to this node's own id wouldn't leave the node, so it goes to the node that took the connections over.
    return node === this.#link.node && this.#isHandedOver ? this.#nodes.ownerOf(node) : node;
  }

  #announce(): void {
    const facts = JSON.stringify(this.#owner.facts());
    if (facts === this.#announced) return;
    this.#announced = facts;
    this.#link.announce(facts);
  }

  #send(to: string, message: ClusterMessage): void {
    this.#link.sendControl(to, JSON.stringify(message), false);
  }

  #answer(request: ClusterRequest, reply: (reply: ClusterReply) => void): void {
    if ("mail" in request) {
      this.#deliver(request, reply);
    } else if (this.#queries >= MAX_QUERIES) {
      this.#dropped++;
    } else {
      this.#queries++;
      const failed = (error: unknown): ClusterReply => ({ kind: "failed", error: cutReport(reportError(error)) });
      void this.#answerQuery(request)
        .catch(failed)
        .then((answer) => {
          this.#queries--;
          reply(answer);
        });
    }
  }

  #deliver({ kind, to, from, mail, timeoutMs }: MailRequest, reply: (reply: ClusterReply) => void): void {
    if (!this.#ids.has(nodeOf(to)) || this.#isClosed) reply({ kind: "gone" });
    else
      this.#owner.deliver({ kind, to, from, bytes: fromBase64(mail), timeoutMs }, (outcome) => reply(replyOf(outcome)));
  }

  async #answerQuery(query: NodeQuery): Promise<ClusterReply> {
    if (query.kind === "survey") {
      const { actor, timeoutMs } = query;
      const question = unpackMail(fromBase64(query.question));
      return {
        kind: "surveyed",
        answers: packAnswers(await this.#owner.survey({ actor, question, timeoutMs, isLocal: true })),
      };
    }
    if (query.kind === "disconnect") {
      const { address, code, reason } = query;
      const isHere = this.#ids.has(nodeOf(address));
      return { kind: "disconnected", wasOpen: isHere && (await this.#owner.disconnect(address, code, reason)) };
    }
    const { shard, cursor, limit } = query;
    const position = { ...(shard !== undefined && { shard }), ...(cursor !== undefined && { cursor }) };
    return { kind: "page", ...(await packPage(limit, (count) => this.#owner.list({ ...position, limit: count }))) };
  }
}

/** Returns what a reply says about mail. A reply of another kind of request says nothing. */
function outcomeOf(kind: RemoteMail["kind"], reply: ClusterReply): RemoteOutcome {
  switch (reply.kind) {
    case "full":
    case "gone":
      return reply;
    case "accepted":
      return kind === "tell" ? reply : { kind: "expired" };
    case "answered":
      return kind === "ask" ? { kind: "answered", bytes: fromBase64(reply.mail) } : { kind: "expired" };
    case "failed":
      return kind === "ask" ? reply : { kind: "expired" };
    default:
      return { kind: "expired" };
  }
}

function replyOf(outcome: RemoteOutcome): ClusterReply {
  if (outcome.kind === "answered") return { kind: "answered", mail: toBase64(outcome.bytes) };
  return outcome.kind === "failed" ? { kind: "failed", error: cutReport(outcome.error) } : outcome;
}

function toBase64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString("base64");
}

function fromBase64(text: string): Uint8Array {
  // A copy of its own: a small Buffer is a part of a large pool, which would cross threads as a whole.
  return new Uint8Array(Buffer.from(text, "base64"));
}

function nodeGone(node: string): SwitchboardError {
  return new SwitchboardError("ERR_NODE_GONE", `node ${node} isn't in the cluster: see board.nodes()`);
}
