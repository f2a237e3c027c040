/** Reads typed fields of parsed JSON. The decoder of commands uses it. */
import { MAX_FILTER_DEPTH, MAX_FILTER_NODES, MAX_FILTER_VALUES, MAX_OFFSET } from "../limits.ts";
import type { ConnectRequest, FilterNode, HistoryRequest, StreamPosition, SubscribeRequest } from "../messages.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

const NO_ENTRIES: Readonly<Record<string, never>> = Object.freeze(Object.create(null));
const NO_TEXTS: readonly string[] = Object.freeze([]);
const NO_NODES: readonly FilterNode[] = Object.freeze([]);

/**
 * Reads fields of one command. A field that is missing or null has its zero value. A field of a wrong type has its zero
 * value too, and `failed` becomes true: the caller looks at `failed` once, at the end.
 */
export class FieldReader {
  failed = false;
  #filterNodes = 0;
  #filterValues = 0;

  asObject(value: unknown): JsonObject | undefined {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
    this.failed = true;
    return undefined;
  }

  object(from: JsonObject, key: string): JsonObject | undefined {
    const value = from[key];
    return value === undefined || value === null ? undefined : this.asObject(value);
  }

  text(from: JsonObject, key: string): string {
    return this.#asText(from[key]);
  }

  flag(from: JsonObject, key: string): boolean {
    const value = from[key];
    if (typeof value === "boolean") return value;
    if (value !== undefined && value !== null) this.failed = true;
    return false;
  }

  uint32(from: JsonObject, key: string): number {
    return this.#integer(from, key, 0, 0xffff_ffff);
  }

  int32(from: JsonObject, key: string): number {
    return this.#integer(from, key, -0x8000_0000, 0x7fff_ffff);
  }

  /** An offset is a uint64. `JSON.parse` reads the largest ones as 2^64. */
  offset(from: JsonObject, key: string): number {
    return Math.min(this.#integer(from, key, 0, 2 ** 64), MAX_OFFSET);
  }

  connect(from: JsonObject, data: Buffer | undefined): ConnectRequest {
    return {
      token: this.text(from, "token"),
      data,
      name: this.text(from, "name"),
      version: this.text(from, "version"),
      headers: this.#entries(from, "headers", (value) => this.#asText(value)),
      subs: this.#entries(from, "subs", (value) => this.#recovery(value)),
    };
  }

  subscribe(from: JsonObject, data: Buffer | undefined): SubscribeRequest {
    return {
      channel: this.text(from, "channel"),
      token: this.text(from, "token"),
      data,
      recover: this.flag(from, "recover"),
      epoch: this.text(from, "epoch"),
      offset: this.offset(from, "offset"),
      positioned: this.flag(from, "positioned"),
      recoverable: this.flag(from, "recoverable"),
      join_leave: this.flag(from, "join_leave"),
      delta: this.text(from, "delta"),
      tf: this.#filter(from["tf"], 1),
      flag: this.#integer(from, "flag", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
      type: this.int32(from, "type"),
    };
  }

  history(from: JsonObject): HistoryRequest {
    return {
      channel: this.text(from, "channel"),
      limit: this.int32(from, "limit"),
      since: this.#position(this.object(from, "since")),
      reverse: this.flag(from, "reverse"),
    };
  }

  #recovery(value: unknown): ConnectRequest["subs"][string] {
    const from = value === null ? {} : (this.asObject(value) ?? {});
    return {
      recover: this.flag(from, "recover"),
      epoch: this.text(from, "epoch"),
      offset: this.offset(from, "offset"),
    };
  }

  #position(from: JsonObject | undefined): StreamPosition | undefined {
    if (from === undefined) return undefined;
    return { offset: this.offset(from, "offset"), epoch: this.text(from, "epoch") };
  }

  #filter(value: unknown, depth: number): FilterNode | undefined {
    if (value === undefined || value === null) return undefined;
    const from = this.asObject(value);
    if (from === undefined) return undefined;
    if (depth > MAX_FILTER_DEPTH || ++this.#filterNodes > MAX_FILTER_NODES) {
      this.failed = true;
      return undefined;
    }
    const vals = this.#array(from, "vals");
    this.#filterValues += vals.length;
    if (this.#filterValues > MAX_FILTER_VALUES) this.failed = true;
    const nodes: FilterNode[] = [];
    for (const each of this.#array(from, "nodes")) {
      // A node that is null is a node without fields, as the schema's other form has it.
      const node = this.#filter(each ?? {}, depth + 1);
      if (node === undefined) break;
      nodes.push(node);
    }
    return {
      op: this.text(from, "op"),
      key: this.text(from, "key"),
      cmp: this.text(from, "cmp"),
      val: this.text(from, "val"),
      vals: this.failed || vals.length === 0 ? NO_TEXTS : vals.map((each) => this.#asText(each)),
      nodes: nodes.length === 0 ? NO_NODES : nodes,
    };
  }

  #array(from: JsonObject, key: string): readonly unknown[] {
    const value = from[key];
    if (Array.isArray(value)) return value;
    if (value !== undefined && value !== null) this.failed = true;
    return NO_TEXTS;
  }

  #asText(value: unknown): string {
    if (value === undefined || value === null) return "";
    // Half a surrogate pair has no form in UTF-8.
    if (typeof value === "string" && value.isWellFormed()) return value;
    this.failed = true;
    return "";
  }

  #integer(from: JsonObject, key: string, min: number, max: number): number {
    const value = from[key];
    if (value === undefined || value === null) return 0;
    // Adding 0 turns -0 to 0.
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value + 0;
    this.failed = true;
    return 0;
  }

  #entries<Value>(from: JsonObject, key: string, read: (value: unknown) => Value): Readonly<Record<string, Value>> {
    const object = this.object(from, key);
    if (object === undefined) return NO_ENTRIES;
    // An object without a prototype, so that the key "__proto__" is a key like any other.
    const entries: Record<string, Value> = Object.create(null);
    for (const name of Object.keys(object)) entries[this.#asText(name)] = read(object[name]);
    return entries;
  }
}
