/** The requests of clients, but for `want`, as calls of the engine. `EngineHost` owns it. */
import { type ErrorReport, reportError, SwitchboardError } from "../../../errors.ts";
import { packRecords } from "../../bus/batch.ts";
import type { Engine, HistoryLimits, HistoryRead, PresenceLimits } from "../../streams/engine.ts";
import type { Maybe } from "../../streams/maybe.ts";
import type { TopicRules } from "../../streams/topic-rules.ts";
import type { EngineAnswers, EngineRequest, LocalMember, PackedRead, StateAnswer, StateRequest } from "../messages.ts";
import { noHistory } from "./publish-receiver.ts";

/** Time after which the engine is told of connections that were let go, in ms. Its lists show them until then. */
const LET_GO_MS = 500;

type JoinAll = Extract<EngineRequest, { readonly kind: "joinAll" }>;

/** A client with the members that it has joined. */
interface Joining {
  /** Addresses of the members, by topic. */
  readonly joined: Map<string, Set<string>>;
}

export class HostRequests {
  readonly #engine: Engine;
  readonly #rules: TopicRules;
  readonly #node: string;
  readonly #clients: Iterable<Joining>;
  /** Connections that have left since `#letGoTimer` was set. */
  readonly #lettingGo: { readonly client: Joining; readonly address: string; readonly topics: readonly string[] }[] =
    [];
  #letGoTimer: NodeJS.Timeout | undefined;

  /**
   * @param node id of this node
   * @param clients all clients that are there
   */
  constructor(engine: Engine, rules: TopicRules, node: string, clients: Iterable<Joining>) {
    this.#engine = engine;
    this.#rules = rules;
    this.#node = node;
    this.#clients = clients;
  }

  /** Does what a request asks for, and returns the answer. Calls the engine before the first await. */
  async do(
    client: Joining,
    request: Exclude<EngineRequest, StateRequest | { kind: "want" | "takeover" }>,
  ): Promise<EngineAnswers[EngineRequest["kind"]]> {
    const engine = this.#engine;
    if (request.kind === "settle") return undefined;
    if (request.kind === "sendControl") {
      engine.sendControl(request.to, request.message, request.waits);
      return undefined;
    }
    if (request.kind === "announce") {
      engine.announce(request.facts);
      return undefined;
    }
    this.endLettingGo();
    if (request.kind === "joinAll") return this.#joinAll(client, request.joins);
    const { topic } = request;
    switch (request.kind) {
      case "join":
        await this.#join(client, topic, request.member);
        return undefined;
      case "leave": {
        forget(client, topic, request.address);
        const rule = this.#presence(topic);
        if (!this.#isJoined(topic, request.address)) await engine.leave(topic, request.address, rule);
        return undefined;
      }
    }
  }

  #join({ joined }: Joining, topic: string, { address, user, info }: LocalMember): Maybe<void> {
    const rule = this.#presence(topic);
    const addresses = joined.get(topic);
    if (addresses === undefined) joined.set(topic, new Set([address]));
    else addresses.add(address);
    return this.#engine.join(topic, { address, node: this.#node, user, info }, rule);
  }

  async #joinAll(client: Joining, joins: JoinAll["joins"]): Promise<EngineAnswers["joinAll"]> {
    const failures: [index: number, error: ErrorReport][] = [];
    const underWay: Promise<void>[] = [];
    for (const [index, [topic, member]] of joins.entries()) {
      const failed = (error: unknown): void => void failures.push([index, reportError(error)]);
      try {
        const joined = this.#join(client, topic, member);
        if (joined !== undefined) underWay.push(joined.catch(failed));
      } catch (error) {
        failed(error);
      }
    }
    await Promise.all(underWay);
    return failures;
  }

  /** Does what a request about streams or presence asks for. Calls the engine before the first await. */
  async perform(request: StateRequest): Promise<StateAnswer> {
    const engine = this.#engine;
    const { topic } = request;
    switch (request.kind) {
      case "publish": {
        const { bytes, idempotencyKey, expiresMs, store } = request;
        const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
        const publish = { frame: { block, start: 0, end: block.length }, idempotencyKey, expiresMs, store };
        return engine.publish(topic, publish, this.#history(topic));
      }
      case "history": {
        const limits = this.#history(topic);
        const range = { ...request.range, limit: Math.min(request.range.limit, limits.size) };
        return pack(await engine.history(topic, range, limits));
      }
      case "readSince": {
        const limits = this.#history(topic);
        return pack(await engine.history(topic, { since: request.offset, limit: limits.size }, limits));
      }
      case "removeHistory":
        await engine.removeHistory(topic, this.#history(topic));
        return undefined;
      case "members":
        this.#presence(topic);
        return engine.members(topic, request.limit);
      case "memberStats":
        this.#presence(topic);
        return engine.memberStats(topic);
    }
  }

  /**
   * A connection leaves the client for another client, which has joined it, or for another process. The engine is told
   * a moment later: everybody waits while all connections go to another process.
   */
  letGo(client: Joining, address: string, topics: readonly string[]): void {
    this.#lettingGo.push({ client, address, topics });
    this.#letGoTimer ??= setTimeout(() => this.endLettingGo(), LET_GO_MS).unref();
  }

  /** Tells the engine who was let go. Called before anything else that changes members. */
  endLettingGo(): void {
    if (this.#letGoTimer === undefined) return;
    clearTimeout(this.#letGoTimer);
    this.#letGoTimer = undefined;
    for (const { client, address, topics } of this.#lettingGo.splice(0)) {
      for (const topic of topics) {
        forget(client, topic, address);
        if (!this.#isJoined(topic, address)) this.#engine.letGo(topic, address);
      }
    }
  }

  /** Lets all members of a client that is gone leave. */
  leaveAll({ joined }: Joining): void {
    this.endLettingGo();
    const all = [...joined];
    joined.clear();
    for (const [topic, addresses] of all) {
      const rule = this.#presence(topic);
      for (const address of addresses) if (!this.#isJoined(topic, address)) void this.#leave(topic, address, rule);
    }
  }

  /** A connection that moves is joined in both of its threads for a moment: it hasn't left until neither has it. */
  #isJoined(topic: string, address: string): boolean {
    for (const { joined } of this.#clients) if (joined.get(topic)?.has(address) === true) return true;
    return false;
  }

  #history(topic: string): HistoryLimits {
    const limits = this.#rules.of(topic)?.history;
    if (limits === undefined) throw noHistory(topic);
    return limits;
  }

  #presence(topic: string): PresenceLimits {
    const limits = this.#rules.of(topic)?.presence;
    if (limits !== undefined) return limits;
    throw new SwitchboardError(
      "ERR_NO_PRESENCE",
      `the topic ${JSON.stringify(topic)} has no presence by the option topics`,
    );
  }

  async #leave(topic: string, address: string, rule: PresenceLimits): Promise<void> {
    try {
      await this.#engine.leave(topic, address, rule);
    } catch {
      // The engine forgets the members of a node that it can't reach.
    }
  }
}

function pack({ top, records }: HistoryRead): PackedRead {
  return { top, batch: packRecords(records) };
}

function forget({ joined }: Joining, topic: string, address: string): void {
  const addresses = joined.get(topic);
  addresses?.delete(address);
  if (addresses?.size === 0) joined.delete(topic);
}
