/**
 * The door to all topics of one thread: a publish goes to the bus or to the engine, and questions about history and
 * presence go to the engine. Each shard and the main thread have one.
 */
import { SwitchboardError } from "../../errors.ts";
import { checkFlag, checkNames } from "../../wire/handshake/option-check.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import type { PublishOptions } from "../actor/context/actor-context.ts";
import type { PublishResult } from "../actor/context/publish-result.ts";
import type { Subscriber } from "../bus/audience.ts";
import { type Bus, NOBODY } from "../bus/bus.ts";
import { checkTopic } from "../bus/topic-index.ts";
import type { EngineClient } from "../engine/client/engine-client.ts";
import type { Member, PresenceStats } from "../streams/engine.ts";
import { isPosition } from "../streams/position.ts";
import { Publication } from "../streams/publication.ts";
import type { HistoryPage, PresenceMember, ReadHistoryOptions, TopicMemory } from "../streams/topic-memory.ts";
import type { TopicRule, TopicRules } from "../streams/topic-rules.ts";

/** A thread's way to the engine, for topics with history or presence. */
export interface TopicEngine {
  readonly client: EngineClient;
  readonly rules: TopicRules;
  /** True if other nodes run the same engine: topics without history reach them, too. */
  readonly isShared: boolean;
}

/** A publish for subscribers that have gone to another process. */
export interface PassedPublish {
  readonly topic: string;
  /** Bytes of the frame. */
  readonly bytes: Uint8Array;
}

/** Bytes of publishes that wait at most. More are dropped. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1_000;
const MAX_MEMBERS = 10_000;
const MAX_KEY_LENGTH = 128;

const PUBLISH_OPTIONS = ["self", "idempotencyKey", "expiresMs", "store"] satisfies (keyof PublishOptions)[];
const HISTORY_OPTIONS = ["since", "limit", "reverse"] satisfies (keyof ReadHistoryOptions)[];

const NO_OPTIONS: PublishOptions & ReadHistoryOptions = {};

export class Topics implements TopicMemory {
  readonly bus: Bus;
  readonly #engine: TopicEngine | undefined;
  /** Publishes that wait for `release`; undefined while none has to wait. */
  #held: { readonly topic: string; readonly frame: Frame; readonly except: Subscriber | undefined }[] | undefined;
  #heldBytes = 0;
  #forward: ((publish: PassedPublish) => void) | undefined;

  constructor(bus: Bus, engine: TopicEngine | undefined) {
    this.bus = bus;
    this.#engine = engine;
  }

  /** True if topics without history reach other nodes, too. */
  get areShared(): boolean {
    return this.#engine?.isShared === true;
  }

  /** Returns the rule of a topic; undefined for a topic without history and presence. Throws `ERR_TOPIC`. */
  ruleOf(topic: string): TopicRule | undefined {
    if (this.#engine === undefined) return undefined;
    // The rules remember topics: one of a wrong length or type must not get there.
    checkTopic(topic);
    return this.#engine.rules.of(topic);
  }

  /** Throws `ERR_TOPIC`, and `ERR_NO_HISTORY` and `ERR_ARGUMENT` for options. */
  publish(
    topic: string,
    frame: Frame,
    options: PublishOptions = NO_OPTIONS,
    publisher?: Subscriber | undefined,
  ): PublishResult {
    if (options !== NO_OPTIONS) {
      checkNames("publish", options, PUBLISH_OPTIONS, "ERR_ARGUMENT");
      checkFlag("publish", "self", options.self);
      checkFlag("publish", "store", options.store);
    }
    const engine = this.#engine;
    if (engine !== undefined && this.ruleOf(topic)?.history !== undefined) {
      return append(engine, topic, frame, options);
    }
    const { self, idempotencyKey, expiresMs } = options;
    if (idempotencyKey !== undefined || expiresMs !== undefined) throw noHistory(topic);
    const except = self ? undefined : publisher;
    if (this.#held === undefined) return this.#publishNow(topic, frame, except);
    checkTopic(topic);
    const bytes = frame.end - frame.start;
    if (this.#heldBytes + bytes > MAX_HELD_BYTES) return { ...NOBODY, dropped: 1 };
    this.#heldBytes += bytes;
    this.#held.push({ topic, frame, except });
    return NOBODY;
  }

  #publishNow(topic: string, frame: Frame, except: Subscriber | undefined): PublishResult {
    const result = this.bus.publish(topic, frame, except);
    if (this.areShared) this.#engine?.client.relay(topic, frame);
    else this.#forward?.({ topic, bytes: bytesOf(frame) });
    return result;
  }

  /**
   * Keeps publishes to topics without history from now on, at most 64 MiB: subscribers are on their way between two
   * processes. The result of such a publish says nothing.
   */
  hold(): void {
    this.#held ??= [];
  }

  /**
   * Makes the publishes that were kept, in order.
   *
   * @param forward gets these publishes and all later ones, for subscribers in another process. An engine that the
   * other process shares does that by itself.
   */
  release(forward?: (publish: PassedPublish) => void): void {
    this.#forward = forward;
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#heldBytes = 0;
    for (const { topic, frame, except } of held) this.#publishNow(topic, frame, except);
  }

  /** Makes a publish of another process, which has passed on its subscribers. */
  publishPassed({ topic, bytes }: PassedPublish): void {
    const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const frame = { block, start: 0, end: block.length };
    if (this.#held === undefined) this.#publishNow(topic, frame, undefined);
    else this.#held.push({ topic, frame, except: undefined });
  }

  async history(topic: string, options: ReadHistoryOptions = NO_OPTIONS): Promise<HistoryPage> {
    checkNames("history", options, HISTORY_OPTIONS, "ERR_ARGUMENT");
    const { since, limit = DEFAULT_PAGE, reverse } = options;
    checkFlag("history", "reverse", reverse);
    const { client } = this.#withHistory(topic);
    if (since !== undefined && !isPosition(since)) throw notAPosition("since");
    if (!Number.isInteger(limit) || limit < 0) throw argument(`limit takes an integer from 0, got ${String(limit)}`);
    const range = { since: since?.offset, limit: Math.min(limit, MAX_PAGE), reverse };
    const { top, records } = await client.history(topic, range);
    if (since !== undefined && since.epoch !== "" && since.epoch !== top.epoch) {
      const message = `the position is of epoch ${JSON.stringify(since.epoch)}, and the stream is in ${top.epoch} now`;
      throw new SwitchboardError("ERR_STREAM_EPOCH", message);
    }
    return { publications: records.map((record) => new Publication(topic, top.epoch, record)), top };
  }

  async removeHistory(topic: string): Promise<void> {
    await this.#withHistory(topic).client.removeHistory(topic);
  }

  async presence(topic: string): Promise<readonly PresenceMember[]> {
    const members = await this.#withPresence(topic).client.members(topic, MAX_MEMBERS);
    return members.map(presenceMember);
  }

  async presenceStats(topic: string): Promise<PresenceStats> {
    return this.#withPresence(topic).client.memberStats(topic);
  }

  #withHistory(topic: string): TopicEngine {
    checkTopic(topic);
    const engine = this.#engine;
    if (engine?.rules.of(topic)?.history === undefined) throw noHistory(topic);
    return engine;
  }

  #withPresence(topic: string): TopicEngine {
    checkTopic(topic);
    const engine = this.#engine;
    if (engine?.rules.of(topic)?.presence === undefined) throw noPresence(topic);
    return engine;
  }
}

/** Returns a copy: a frame may be a small part of its block. */
function bytesOf({ block, start, end }: Frame): Uint8Array {
  return Uint8Array.from(block.subarray(start, end));
}

function append(
  { client }: TopicEngine,
  topic: string,
  frame: Frame,
  { idempotencyKey, expiresMs, store }: PublishOptions,
): PublishResult {
  const isPlain = idempotencyKey === undefined && expiresMs === undefined;
  if (!isPlain) checkPublishOptions(idempotencyKey, expiresMs);
  if (!isPlain && store === false) throw argument("idempotencyKey and expiresMs are for publications that are stored");
  const hasOptions = !isPlain || store === false;
  const stored = client.publish(topic, frame, hasOptions ? { idempotencyKey, expiresMs, store } : undefined);
  return { delivered: 0, buffered: 0, dropped: 0, closed: 0, remote: 0, remoteDropped: 0, stored };
}

function checkPublishOptions(idempotencyKey: unknown, expiresMs: unknown): void {
  const isKey =
    typeof idempotencyKey === "string" &&
    idempotencyKey !== "" &&
    idempotencyKey.length <= MAX_KEY_LENGTH &&
    idempotencyKey.isWellFormed();
  if (idempotencyKey !== undefined && !isKey) {
    throw argument(`idempotencyKey takes a string of 1 to ${MAX_KEY_LENGTH} characters`);
  }
  if (expiresMs !== undefined && !(Number.isSafeInteger(expiresMs) && Number(expiresMs) >= 1)) {
    throw argument(`expiresMs takes an integer from 1, got ${String(expiresMs)}`);
  }
}

/** Returns a member as actors see it. */
export function presenceMember({ address, node, user, info }: Member): PresenceMember {
  return { address, node, user, info: info === undefined ? undefined : JSON.parse(info) };
}

/** The error of a call that needs a topic with history. */
export function noHistory(topic: unknown): SwitchboardError {
  const message = `the topic ${JSON.stringify(topic)} has no history: see the board's option topics`;
  return new SwitchboardError("ERR_NO_HISTORY", message);
}

/** The error of a call that needs a topic with presence. */
export function noPresence(topic: unknown): SwitchboardError {
  const message = `the topic ${JSON.stringify(topic)} has no presence: see the board's option topics`;
  return new SwitchboardError("ERR_NO_PRESENCE", message);
}

/** The error of an option that takes a position. */
export function notAPosition(option: string): SwitchboardError {
  const message = `${option} takes a position, { epoch, offset }; check what comes from clients with isPosition`;
  return new SwitchboardError("ERR_POSITION", message);
}

/** The error of an option that makes no sense. */
export function argument(message: string): SwitchboardError {
  return new SwitchboardError("ERR_ARGUMENT", message);
}
