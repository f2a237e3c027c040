/** The nodes of the cluster as this board knows them, with the facts that they announce. `Cluster` has one. */
import { readFileSync } from "node:fs";
import type { ShardCounts } from "../../../runtime/stats/counters.ts";
import { hasFields, parse } from "./messages.ts";

/** Numbers of a node that add up to those of the cluster. */
export interface NodeCounts {
  readonly shards: number;
  /** Number of open connections. */
  readonly connections: number;
  readonly connectionsOpened: number;
  readonly messagesReceived: number;
  readonly messagesSent: number;
  readonly publishes: number;
  readonly deliveries: number;
}

/** Facts that a node announces. */
export interface NodeFacts extends NodeCounts {
  /** `nodeName` of its board. */
  readonly name: string;
  /** Version of Switchboard. */
  readonly version: string;
  /** Time of the start, in ms since 1970. */
  readonly startedAt: number;
  /** Ids of earlier nodes whose connections this one has taken over: mail to their addresses is for this node. */
  readonly answersFor?: readonly string[];
}

/** A node of the cluster. */
export interface NodeStatus extends NodeFacts {
  /** Id of the process: the first part of its actors' addresses. Another one after each start. */
  readonly id: string;
  /** True for the node of this board. */
  readonly isSelf: boolean;
}

/** The sum over all nodes. */
export interface ClusterStats extends NodeCounts {
  readonly nodes: number;
  /** Number of control messages to this node that made no sense, and of queries that this node had no room for. */
  readonly messagesDropped: number;
}

const COUNTS = [
  "shards",
  "connections",
  "connectionsOpened",
  "messagesReceived",
  "messagesSent",
  "publishes",
  "deliveries",
] as const satisfies readonly (keyof NodeCounts)[];

/** Number of earlier nodes that a node answers for. */
export const MAX_ALIASES = 64;
/** Number of characters of the facts of a node. */
const MAX_FACTS_LENGTH = 4_096;
const MAX_NAME_LENGTH = 255;
/** Number of other nodes that are kept. */
const MAX_NODES = 10_000;
const NODE = /^[\w-]{1,32}$/;

const isCount = (value: unknown): boolean => Number.isFinite(value) && Number(value) >= 0;
const isNode = (value: unknown): boolean => typeof value === "string" && NODE.test(value);
const areNodes = (value: unknown): boolean =>
  Array.isArray(value) && value.length <= MAX_ALIASES && value.every(isNode);
const isName = (value: unknown): boolean => typeof value === "string" && value.length <= MAX_NAME_LENGTH;

export interface NodeListOwner {
  nodeJoined(node: NodeStatus): void;
  nodeLeft(node: NodeStatus): void;
}

export class NodeList {
  readonly #owner: NodeListOwner;
  /** Other nodes by id, with undefined for those that haven't announced their facts. */
  readonly #others = new Map<string, NodeFacts | undefined>();
  /** Nodes that answer for others, by the ids of these. */
  readonly #owners = new Map<string, string>();

  constructor(owner: NodeListOwner) {
    this.#owner = owner;
  }

  /** True if the node, or one that answers for it, is known and isn't this one. */
  has(id: string): boolean {
    return this.#others.has(id) || this.#owners.has(id);
  }

  /** Returns the node that answers for another one: that node itself, as far as is known. */
  ownerOf(id: string): string {
    return this.#owners.get(id) ?? id;
  }

  /** Returns the ids of all other nodes. */
  ids(): string[] {
    return [...this.#others.keys()];
  }

  /** Returns the other nodes that have announced their facts. */
  others(): NodeStatus[] {
    return [...this.#others].flatMap(([id, facts]) => (facts === undefined ? [] : [{ id, isSelf: false, ...facts }]));
  }

  /** A node has appeared or has changed its facts, which aren't trusted. Facts that make no sense change nothing. */
  changed(id: unknown, json: unknown): void {
    if (typeof id !== "string" || !NODE.test(id)) return;
    if (!this.#others.has(id) && this.#others.size >= MAX_NODES) return;
    const before = this.#others.get(id);
    const facts = parseFacts(json) ?? before;
    this.#others.set(id, facts);
    for (const alias of facts?.answersFor ?? []) this.#owners.set(alias, id);
    if (before === undefined && facts !== undefined) this.#owner.nodeJoined({ id, isSelf: false, ...facts });
  }

  /** A node has left. Returns the nodes for which nobody answers any more; undefined if the node wasn't known. */
  left(id: string): readonly string[] | undefined {
    const facts = this.#others.get(id);
    const wasKnown = this.#others.delete(id);
    const orphans = facts?.answersFor?.filter((alias) => this.#owners.get(alias) === id) ?? [];
    for (const orphan of orphans) this.#owners.delete(orphan);
    if (facts !== undefined) this.#owner.nodeLeft({ id, isSelf: false, ...facts });
    return wasKnown ? orphans : undefined;
  }
}

/** Returns the facts about this node. */
export function factsOf(
  name: string,
  startedAt: number,
  shards: readonly ShardCounts[],
  answersFor: readonly string[],
): NodeFacts {
  const sum = (counter: Exclude<keyof NodeCounts, "shards">): number =>
    shards.reduce((total, counts) => total + counts[counter], 0);
  const counts = COUNTS.map((count) => [count, count === "shards" ? shards.length : sum(count)]);
  const sums = Object.fromEntries(counts) as unknown as NodeCounts;
  return { name, version: packageVersion(), startedAt, ...(answersFor.length > 0 && { answersFor }), ...sums };
}

let version: string | undefined;

/** Returns the version of Switchboard; "" in a bundle. */
function packageVersion(): string {
  version ??= readVersion();
  return version;
}

function readVersion(): string {
  try {
    // The sources are four folders down, the built package is one.
    const here: string = import.meta.url;
    const path = here.endsWith(".ts") ? "../../../../package.json" : "../package.json";
    const manifest = JSON.parse(readFileSync(new URL(path, here), "utf8"));
    return manifest.name === "switchboard" ? String(manifest.version) : "";
  } catch {
    return "";
  }
}

/** Returns the sum over nodes. */
export function sumNodes(nodes: readonly NodeStatus[]): Omit<ClusterStats, "messagesDropped"> {
  const sum = (name: keyof NodeCounts): number => nodes.reduce((total, node) => total + node[name], 0);
  const counts = Object.fromEntries(COUNTS.map((name) => [name, sum(name)])) as unknown as NodeCounts;
  return { nodes: nodes.length, ...counts };
}

/** Returns the facts; undefined for a text that no board has announced. Never throws. */
function parseFacts(json: unknown): NodeFacts | undefined {
  if (typeof json !== "string" || json.length > MAX_FACTS_LENGTH) return undefined;
  const facts = parse(json);
  if (!hasFields(facts, { name: isName, version: isName, startedAt: isCount })) return undefined;
  // A node of another version may have other counts.
  const counts = COUNTS.map((name) => [name, isCount(facts[name]) ? facts[name] : 0]);
  const { name, version, startedAt, answersFor = [] } = facts as unknown as NodeFacts;
  const sums = Object.fromEntries(counts) as unknown as NodeCounts;
  return { name, version, startedAt, ...(areNodes(answersFor) && { answersFor }), ...sums };
}
