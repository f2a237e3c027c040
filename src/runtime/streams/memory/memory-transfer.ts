/**
 * Gives the state of a memory engine to the engine of another process in a takeover, in pieces, and takes such pieces.
 * `MemoryEngine` has one.
 */
import type { PresenceLimits } from "../engine.ts";
import type { Position } from "../position.ts";
import type { EngineTransfer, LeftBehind } from "../takeover.ts";
import type { IdempotencyKeys } from "./idempotency-keys.ts";
import type { MemberCopy, MemoryPresence } from "./memory-presence.ts";
import { putStreams, StreamExport, type StreamPiece } from "./stream-export.ts";
import type { StreamStore } from "./stream-store.ts";

interface KeyCopy {
  /** Name of topic and key, as `IdempotencyKeys` gives it. */
  readonly name: string;
  readonly position: Position;
  /** Time for which the key is still known, in ms. */
  readonly leftMs: number;
}

interface PresentCopy {
  readonly topic: string;
  readonly rule: PresenceLimits;
  readonly member: MemberCopy;
}

/**
 * A piece of the state on its way from one memory engine to another. A change that the other version can't read is a
 * new `FORMAT`.
 */
type MemoryPiece =
  | ({ readonly kind: "streams"; readonly nowMs: number } & StreamPiece)
  | { readonly kind: "keys"; readonly keys: readonly KeyCopy[] }
  | { readonly kind: "members"; readonly members: readonly PresentCopy[] };

const FORMAT = "memory/1";
/** Difference in ms of two clocks that may come from the way between the processes. */
const MAX_WAY_MS = 1_000;
/** Number of keys, or of members, in a piece. */
const MAX_IN_PIECE = 2_000;
/** Characters of members in a piece: each may have 4 KiB of info. */
const MAX_CHARACTERS = 256 * 1024;
const NOTHING_LEFT: LeftBehind = Object.freeze({ topics: 0, publications: 0 });

export interface MemoryParts {
  readonly streams: StreamStore;
  readonly keys: IdempotencyKeys;
  readonly presence: MemoryPresence;
}

export class MemoryTransfer implements EngineTransfer {
  readonly format = FORMAT;
  readonly #parts: MemoryParts;
  readonly #clock: () => number;
  readonly #maxBytes: number;
  #export: StreamExport | undefined;
  /** The pieces of the round under way. */
  #round: Iterator<MemoryPiece> | undefined;
  #isFirst = true;

  /** @param maxBytes bytes of publications that go at most */
  constructor(parts: MemoryParts, clock: () => number, maxBytes: number) {
    this.#parts = parts;
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  begin(): void {
    const { streams, keys, presence } = this.#parts;
    this.#export = new StreamExport(streams, this.#clock, this.#maxBytes);
    keys.noteAdded(true);
    presence.noteChanges(true);
    this.#round = undefined;
    this.#isFirst = true;
  }

  give(): MemoryPiece | undefined {
    if (this.#export === undefined) return undefined;
    this.#round ??= this.#pieces(this.#export, this.#isFirst);
    this.#isFirst = false;
    const { value, done } = this.#round.next();
    if (done !== true) return value;
    this.#round = undefined;
    return undefined;
  }

  end(): LeftBehind {
    const { keys, presence } = this.#parts;
    const left = this.#export?.end() ?? NOTHING_LEFT;
    this.#export = undefined;
    this.#round = undefined;
    keys.noteAdded(false);
    presence.noteChanges(false);
    return left;
  }

  take(piece: unknown): void {
    const { streams, keys, presence } = this.#parts;
    const nowMs = this.#clock();
    const given = piece as MemoryPiece;
    switch (given.kind) {
      case "streams":
        putStreams(streams, given, clockShift(nowMs - given.nowMs), nowMs);
        return;
      case "keys":
        for (const { name, position, leftMs } of given.keys) {
          keys.put(name, { position, expiresAtMs: nowMs + leftMs }, nowMs);
        }
        return;
      case "members":
        for (const { topic, rule, member } of given.members) presence.put(topic, rule, member, nowMs);
        return;
    }
  }

  taken(isComplete: boolean): void {
    const { streams, keys, presence } = this.#parts;
    if (isComplete) {
      presence.endAwaited(this.#clock());
      return;
    }
    streams.forgetAll();
    keys.clear();
    presence.forgetAwaited();
  }

  *#pieces(streams: StreamExport, isFirst: boolean): Generator<MemoryPiece> {
    const { keys, presence } = this.#parts;
    for (const piece of isFirst ? streams.all() : streams.changes()) {
      yield { kind: "streams", nowMs: this.#clock(), ...piece };
    }
    const startedAtMs = this.#clock();
    for (const some of inPieces(isFirst ? keys.all() : keys.takeAdded())) {
      const copies = some.map(([name, { position, expiresAtMs }]) => {
        return { name, position, leftMs: expiresAtMs - this.#clock() };
      });
      yield { kind: "keys", keys: copies };
    }
    const members = isFirst ? presence.all(startedAtMs) : presence.takeChanged(startedAtMs);
    for (const some of inPieces(members, charactersOf)) {
      yield { kind: "members", members: some.map(([topic, rule, member]) => ({ topic, rule, member })) };
    }
  }
}

/**
 * Returns what is to be added to times of the other process. Its clock differs if somebody has set the clock of the
 * machine since that process started.
 */
function clockShift(differenceMs: number): number {
  return Math.abs(differenceMs) < MAX_WAY_MS ? 0 : differenceMs;
}

function charactersOf([topic, , { address, user = "", info = "" }]: readonly [string, unknown, MemberCopy]): number {
  return topic.length + address.length + user.length + info.length;
}

/** Returns the items in lists of a bounded length. */
function* inPieces<T>(items: Iterable<T>, charactersOfItem: (item: T) => number = () => 0): Generator<T[]> {
  let some: T[] = [];
  let characters = 0;
  for (const item of items) {
    some.push(item);
    characters += charactersOfItem(item);
    if (some.length < MAX_IN_PIECE && characters < MAX_CHARACTERS) continue;
    yield some;
    some = [];
    characters = 0;
  }
  if (some.length > 0) yield some;
}
