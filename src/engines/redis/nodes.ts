/**
 * The nodes of the cluster: each tells the others that it lives, and each may send control messages. Nothing is stored
 * in Redis, and no clock is compared: a node counts the time since it last heard another one.
 */
import type { EngineOwner } from "../../runtime/streams/engine.ts";
import type { Waiting } from "../../runtime/streams/takeover.ts";
import { noop } from "../../wire/protocol/empty.ts";
import { unavailable } from "./failures.ts";
import type { Keys } from "./keys.ts";
import type { Links } from "./link/links.ts";

/** Longest time between two beats, in ms. */
const MAX_BEAT_MS = 3_000;
/** Length of the facts of a node: longer ones aren't taken. */
const MAX_FACTS_LENGTH = 65_536;
/** Number of other nodes that are remembered. */
const MAX_NODES = 10_000;

/** A message between nodes, as JSON. */
interface NodeMessage {
  /** True for a control message that waits at a cut. It is the first field: see `WAITS`. */
  readonly waits?: true;
  /** Id of the sender. */
  readonly node: string;
  /** A beat: what the node tells about itself, as JSON. */
  readonly facts?: string;
  /** With `facts`: true to ask all others for a beat at once. */
  readonly asks?: boolean;
  /** A control message. Without it and `facts` the node leaves. */
  readonly message?: string;
}

/** Beginning of the messages that wait at a cut. */
const WAITS = Buffer.from('{"waits":true,');

interface Other {
  facts: string;
  heardAt: number;
}

export interface NodesOptions {
  readonly node: string;
  readonly nodeTtlMs: number;
  readonly keys: Keys;
  readonly links: Links;
  readonly owner: EngineOwner;
}

export class Nodes {
  readonly #options: NodesOptions;
  readonly #others = new Map<string, Other>();
  readonly #beatMs: number;
  #facts = "{}";
  #timer: NodeJS.Timeout | undefined;
  #beatAt = performance.now();
  #isAnswering = false;
  #dropped = 0;

  constructor(options: NodesOptions) {
    this.#options = options;
    this.#beatMs = Math.min(MAX_BEAT_MS, options.nodeTtlMs / 3);
  }

  get count(): number {
    return this.#others.size + 1;
  }

  /** Control messages that couldn't be sent. */
  get dropped(): number {
    return this.#dropped;
  }

  async start(): Promise<void> {
    const { keys, node, links } = this.#options;
    const received = (bytes: Buffer): void => this.#heard(bytes);
    const all = keys.control();
    await Promise.all([links.of(all)?.listen(all, { received }), this.#listenTo(keys.control(node))]);
    this.#beat(true);
    this.#timer = setInterval(() => this.#tick(), this.#beatMs);
  }

  /** Takes control messages to other nodes as well. */
  async answerFor(nodes: readonly string[]): Promise<void> {
    const { keys } = this.#options;
    await Promise.all(nodes.map((node) => this.#listenTo(keys.control(node))));
  }

  async #listenTo(channel: string): Promise<void> {
    const received = (bytes: Buffer): void => this.#heard(bytes);
    const waits = (bytes: Buffer): Waiting | undefined =>
      bytes.subarray(0, WAITS.length).equals(WAITS) ? "control" : undefined;
    await this.#options.links.of(channel)?.listen(channel, { waits, received });
  }

  announce(facts: string): void {
    this.#facts = facts;
    if (this.#timer !== undefined) this.#beat(false);
  }

  send(to: string | undefined, message: string, waits: boolean): void {
    const { node, owner, keys } = this.#options;
    if (to === node) {
      setImmediate(() => owner.controlReceived(node, message));
      return;
    }
    this.#publish(keys.control(to), { ...(waits && { waits }), node, message }).catch(() => {
      this.#dropped++;
    });
  }

  /** The link works again: what the others said meanwhile is lost, and their silence says nothing. */
  restored(): void {
    if (this.#timer === undefined) return;
    const now = performance.now();
    for (const other of this.#others.values()) other.heardAt = now;
    this.#beat(true);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    const { keys, node } = this.#options;
    await this.#publish(keys.control(), { node }).catch(noop);
  }

  #tick(): void {
    const { nodeTtlMs, links, owner } = this.#options;
    const now = performance.now();
    // Silence counts only while this node could hear: not while its thread stood still, nor while the link is away.
    const late = now - this.#beatAt - this.#beatMs;
    this.#beatAt = now;
    const isDeaf = links.of(this.#options.keys.control())?.health.status !== "up";
    for (const [id, other] of this.#others) {
      if (isDeaf) other.heardAt = now;
      else if (late > 0) other.heardAt += late;
      if (now - other.heardAt < nodeTtlMs) continue;
      this.#others.delete(id);
      owner.nodeChanged(id, undefined);
    }
    this.#beat(false);
  }

  #beat(asks: boolean): void {
    const { keys, node } = this.#options;
    this.#publish(keys.control(), { node, facts: this.#facts, asks }).catch(noop);
  }

  async #publish(channel: string, message: NodeMessage): Promise<void> {
    const link = this.#options.links.of(channel);
    if (link === undefined) throw unavailable("no server of the cluster has the channel's hash slot now");
    await link.publish(channel, JSON.stringify(message));
  }

  #heard(bytes: Buffer): void {
    const heard = parse(bytes);
    const { owner } = this.#options;
    if (heard === undefined || heard.node === this.#options.node) return;
    const { node, facts, asks, message } = heard;
    if (message !== undefined) {
      owner.controlReceived(node, message);
    } else if (facts === undefined) {
      if (this.#others.delete(node)) owner.nodeChanged(node, undefined);
    } else {
      const known = this.#others.get(node);
      if (known === undefined && this.#others.size >= MAX_NODES) return;
      this.#others.set(node, { facts, heardAt: performance.now() });
      if (known?.facts !== facts) owner.nodeChanged(node, facts);
      if (asks === true) this.#answer();
    }
  }

  /** Beats once for all who ask in the same tick. */
  #answer(): void {
    if (this.#isAnswering) return;
    this.#isAnswering = true;
    setImmediate(() => {
      this.#isAnswering = false;
      if (this.#timer !== undefined) this.#beat(false);
    });
  }
}

/** Undefined for what no node has sent. */
function parse(bytes: Buffer): NodeMessage | undefined {
  try {
    const parsed: unknown = JSON.parse(bytes.toString());
    if (typeof parsed !== "object" || parsed === null) return undefined;
    const { node, facts, message } = parsed as Readonly<Record<string, unknown>>;
    const isOne = typeof node === "string" && isTextOrNone(facts, MAX_FACTS_LENGTH) && isTextOrNone(message);
    return isOne ? (parsed as NodeMessage) : undefined;
  } catch {
    return undefined;
  }
}

function isTextOrNone(value: unknown, maxLength = Number.POSITIVE_INFINITY): boolean {
  return value === undefined || (typeof value === "string" && value.length <= maxLength);
}
