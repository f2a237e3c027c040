/** The base class of the connections of all scenarios. */
import type { Message } from "../../wire/protocol/message.ts";
import { Client, type ClientHandler, type ClientSettings } from "../client.ts";
import type { Payload } from "../payload.ts";
import type { Tally } from "../tally.ts";

export interface ConnectionHost {
  readonly client: ClientSettings;
  readonly payload: Payload;
  readonly tally: Tally;
  /** Number of messages that the server sends first, and that aren't checked. */
  readonly greeting: number;
}

/** The common part of all connections: skips the greeting, recognises replies, and counts failures. */
export abstract class LoadConnection implements ClientHandler {
  protected readonly client: Client;
  protected readonly tally: Tally;
  protected readonly payload: Payload;
  #greeting: number;
  #isReady = false;

  constructor({ client, payload, tally, greeting }: ConnectionHost) {
    this.tally = tally;
    this.payload = payload;
    this.#greeting = greeting;
    this.client = new Client(client, this);
  }

  /** The connection is open and the greeting is over. */
  protected abstract ready(): void;
  /** A message of the right type and length arrived. Its payload begins at `start`. */
  protected abstract reply(bytes: Buffer, start: number): void;
  /** The connection ended. Called once, last. */
  protected abstract ended(): void;
  abstract read(): void;

  /** True while the connection is open and the greeting is over. */
  get isReady(): boolean {
    return this.#isReady;
  }

  close(): void {
    this.client.close();
  }

  opened(): void {
    this.tally.opened++;
    if (this.#greeting === 0) this.#becomeReady();
  }

  frame(bytes: Buffer, start: number, payload: number, end: number): boolean {
    if (this.#greeting > 0) return false;
    if (bytes[start] !== this.payload.firstByte || end - payload !== this.payload.bytes) return false;
    this.reply(bytes, payload);
    return true;
  }

  message({ bytes, type }: Message): void {
    if (this.#greeting > 0) {
      this.#greeting--;
      if (this.#greeting === 0) this.#becomeReady();
    } else if (bytes.length === this.payload.bytes && type === this.payload.type) {
      this.reply(bytes, 0);
    } else {
      this.unexpected(`received a ${type} message of ${bytes.length} bytes, which is not what was sent`);
    }
  }

  drained(): void {
    this.read();
  }

  closed(reason: string | undefined): void {
    if (reason !== undefined) {
      if (this.#isReady) this.tally.closed++;
      else this.tally.failed++;
      this.tally.error(reason);
    }
    this.#isReady = false;
    this.ended();
  }

  /** Sends `count` messages, at most a burst, with counters from `first`. */
  protected send(first: number, count: number, publisher?: number): void {
    const { client, payload } = this;
    if (client.deflateBits !== undefined) {
      client.write(payload.compressed(client.deflateBits, publisher, first, count));
      return;
    }
    const frames = publisher === undefined ? payload.frames(first, count) : payload.published(publisher, first, count);
    if (!client.write(frames)) payload.keep();
  }

  /** A message of another type or length than those that are sent arrived. */
  protected unexpected(what: string): void {
    this.refuse(what);
  }

  /** Counts a wrong message. */
  protected refuse(what: string): void {
    this.tally.wrong++;
    this.tally.error(what);
  }

  #becomeReady(): void {
    this.#isReady = true;
    this.ready();
  }
}
