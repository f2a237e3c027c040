/** The actor of the demo: one person in a chat room. It runs in the shards. */
import { Actor, type Message } from "../../index.ts";

export interface Session {
  /** Number of shards, which the page shows. */
  readonly shards: number;
}

/** State that moves along with a person's connection. The subscription moves by itself. */
interface State {
  readonly name: string | undefined;
}

/** A message from the page. */
type Request = { readonly type: "name"; readonly name: string } | { readonly type: "say"; readonly text: string };

/** A message to the page. `from` is the id of a connection. */
type ChatEvent =
  | { readonly type: "welcome"; readonly id: string; readonly shard: number; readonly shards: number }
  | { readonly type: "joined" | "left"; readonly name: string; readonly shard: number }
  | { readonly type: "renamed"; readonly name: string; readonly shard: number; readonly before: string }
  | {
      readonly type: "said";
      readonly from: string;
      readonly name: string;
      readonly shard: number;
      readonly text: string;
    }
  | { readonly type: "notice"; readonly text: string };

const MAX_ROOM_LENGTH = 64;
const MAX_NAME_LENGTH = 32;
const MAX_TEXT_LENGTH = 1_000;
const POLICY_VIOLATION = 1008;

/** One person in a room. The page first sends a name, which may change later; then it sends texts. */
export default class Chat extends Actor<Session> {
  static override readonly moves = 1;
  readonly #topic = `room:${this.params["room"]}`;
  #name: string | undefined;

  override async opened(): Promise<void> {
    const { id, shard } = this;
    if ((this.params["room"] ?? "").length > MAX_ROOM_LENGTH) {
      this.close(POLICY_VIOLATION, `a room's name has at most ${MAX_ROOM_LENGTH} characters`);
      return;
    }
    await this.subscribe(this.#topic);
    this.#tell({ type: "welcome", id, shard, shards: this.session.shards });
  }

  override suspended(): State {
    return { name: this.#name };
  }

  override resumed({ name }: State): void {
    this.#name = name;
  }

  override received(message: Message): void {
    const request = parseRequest(message);
    if (request === undefined) this.close(POLICY_VIOLATION, 'expected {"type":"name"} or {"type":"say"} as JSON');
    else if (request.type === "name") this.#rename(request.name.trim());
    else this.#say(request.text.trim());
  }

  override closed(): void {
    if (this.#name !== undefined) this.#tellRoom({ type: "left", name: this.#name, shard: this.shard });
  }

  #rename(name: string): void {
    const { shard } = this;
    const before = this.#name;
    if (name === "" || name.length > MAX_NAME_LENGTH) {
      this.#tell({ type: "notice", text: `A name has 1 to ${MAX_NAME_LENGTH} characters.` });
    } else if (name !== before) {
      this.#name = name;
      this.#tellRoom(before === undefined ? { type: "joined", name, shard } : { type: "renamed", name, shard, before });
    }
  }

  #say(text: string): void {
    const { id, shard } = this;
    if (this.#name === undefined) {
      this.#tell({ type: "notice", text: "Give your name first." });
    } else if (text === "" || text.length > MAX_TEXT_LENGTH) {
      this.#tell({ type: "notice", text: `A message has 1 to ${MAX_TEXT_LENGTH} characters.` });
    } else {
      this.#tellRoom({ type: "said", from: id, name: this.#name, shard, text });
    }
  }

  #tell(event: ChatEvent): void {
    this.send(JSON.stringify(event));
  }

  /** Publishes to everybody in the room, this peer included, so that all see the same order. */
  #tellRoom(event: ChatEvent): void {
    this.publish(this.#topic, JSON.stringify(event), { self: true });
  }
}

/** Reads a peer's message, which may be anything. Returns undefined when it isn't a request. */
function parseRequest(message: Message): Request | undefined {
  let value: unknown;
  try {
    value = JSON.parse(message.text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || !("type" in value)) return undefined;
  const { type } = value;
  if (type === "name" && "name" in value && typeof value.name === "string") return { type, name: value.name };
  if (type === "say" && "text" in value && typeof value.text === "string") return { type, text: value.text };
  return undefined;
}
