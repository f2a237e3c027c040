import { connect, type Socket } from "node:net";
import { text } from "../frames.ts";
import { upgradeRequest } from "../raw-client.ts";
import type { ReadersOptions, ReadersStory } from "../readers.ts";

/**
 * Subscribers of one topic of `actors/flooding.ts`, in a process of their own because of their descriptors. Each checks
 * every byte. Prints a line when all are subscribed, and one for each publish that all have received.
 */
const { port, count, topic, bytes }: ReadersOptions = JSON.parse(process.argv[2] ?? "{}");

const CONNECTING_AT_ONCE = 100;
const SUBSCRIBED = "subscribed";

function tell(story: ReadersStory): void {
  process.send?.(story);
}

const expected: Buffer[] = [];
const readers: number[] = [];

/** The complete frame of a publish. */
function frameOf(number: number): Buffer {
  const payload = Buffer.from(`${topic} ${number} `.padEnd(bytes, "x"));
  expected[number] ??= Buffer.concat([Buffer.from([0x81, 126, bytes >> 8, bytes & 0xff]), payload]);
  return expected[number];
}

/**
 * Describes bytes that differ from the expected ones: the offset of the first difference, and some bytes from there.
 */
function describe(bytes: Buffer, start: number, wanted: Buffer): string {
  const differs = wanted.findIndex((byte, at) => bytes[start + at] !== byte);
  return `from its byte ${differs} on: ${bytes.toString("latin1", start + differs, start + differs + 60)}`;
}

function has(number: number): void {
  readers[number] = (readers[number] ?? 0) + 1;
  if (readers[number] === count) tell({ event: "published", number });
}

/** All sockets read into this buffer. */
const shared = Buffer.alloc(64 * 1024);

class Reader {
  readonly #socket: Socket;
  readonly #subscribed = Promise.withResolvers<void>();
  /** The bytes of the answer to the handshake and of the reply, until both are complete. */
  #head: string | undefined = "";
  #rest = Buffer.alloc(0);
  #next = 0;

  constructor() {
    this.#socket = connect({
      ...{ port, host: "127.0.0.1", noDelay: true },
      onread: { buffer: shared, callback: (length) => this.#read(shared.subarray(0, length)) },
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => tell({ event: "wrong", what: `a reader was closed before publish ${this.#next}` }));
    this.#socket.write(upgradeRequest());
    this.#socket.write(text(JSON.stringify({ do: "subscribe", topics: [topic] })));
  }

  get subscribed(): Promise<void> {
    return this.#subscribed.promise;
  }

  #read(chunk: Buffer): boolean {
    if (this.#head !== undefined) {
      this.#head += chunk.toString("latin1");
      if (!this.#head.endsWith(SUBSCRIBED)) return true;
      this.#head = undefined;
      this.#subscribed.resolve();
      return true;
    }
    const all = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (let frame = frameOf(this.#next); all.length - at >= frame.length; frame = frameOf(this.#next)) {
      if (all.compare(frame, 0, frame.length, at, at + frame.length) !== 0) {
        tell({ event: "wrong", what: `expected publish ${this.#next}, got ${describe(all, at, frame)}` });
        return false;
      }
      at += frame.length;
      has(this.#next++);
    }
    this.#rest = Buffer.from(all.subarray(at));
    return true;
  }
}

for (let ready = 0; ready < count; ready += CONNECTING_AT_ONCE) {
  const some = Math.min(CONNECTING_AT_ONCE, count - ready);
  await Promise.all(Array.from({ length: some }, () => new Reader().subscribed));
}
tell({ event: "subscribed" });
