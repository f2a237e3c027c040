import type { Message } from "../../protocol/message.ts";
import { Client, type ClientHandler, type ClientSettings } from "../client.ts";
import { now } from "../clock.ts";
import type { Payload } from "../payload.ts";
import type { Tally } from "../tally.ts";
import { Times } from "../times.ts";

export interface EchoHost {
  readonly client: ClientSettings;
  readonly payload: Payload;
  readonly tally: Tally;
  readonly greeting: number;
  /** Messages that wait for their reply at a time; undefined in an open loop, where messages become due. */
  readonly inflight: number | undefined;
  /** The greeting, if any, is over. */
  ready(connection: EchoConnection): void;
  ended(connection: EchoConnection): void;
}

/** What may wait here for a server that doesn't read; messages that become due after that wait to be written. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/** A connection that sends messages and checks that each comes back, in order. */
export class EchoConnection implements ClientHandler {
  readonly #host: EchoHost;
  readonly #payload: Payload;
  readonly #client: Client;
  /** Of what waits for its reply: when it was sent, or should have been. */
  readonly #times: Times;
  /** Open loop: when messages that aren't written yet were due. */
  readonly #due = new Times();
  #sent = 0;
  #received = 0;
  #greeting: number;
  #sending = false;
  /** When the chunk arrived that is being read. */
  #arrival = 0;
  #ready = false;

  constructor(host: EchoHost) {
    this.#host = host;
    this.#payload = host.payload;
    this.#greeting = host.greeting;
    this.#times = new Times(host.inflight);
    this.#client = new Client(host.client, this);
  }

  /** Messages without a reply, those included that aren't written yet. */
  get outstanding(): number {
    return this.#sent - this.#received + this.#due.length;
  }

  get isReady(): boolean {
    return this.#ready;
  }

  /** Closed loop: sends the first messages, and one more for each reply. */
  start(): void {
    this.#sending = true;
    this.#arrival = now();
    this.#refill();
  }

  stop(): void {
    this.#sending = false;
  }

  /** Open loop: a message is due at `time`. It leaves with the next `flush`. */
  due(time: number): void {
    this.#due.push(time);
  }

  flush(): void {
    while (this.#due.length > 0 && this.#client.bufferedBytes < MAX_BUFFERED_BYTES && this.#client.isOpen) {
      const count = Math.min(this.#due.length, this.#payload.burst);
      for (let i = 0; i < count; i++) this.#times.push(this.#due.shift());
      this.#write(count);
    }
  }

  close(): void {
    this.#sending = false;
    this.#client.close();
  }

  opened(): void {
    this.#host.tally.opened++;
    if (this.#greeting === 0) this.#becomeReady();
  }

  frame(bytes: Buffer, start: number, payload: number, end: number): boolean {
    if (this.#greeting > 0) return false;
    if (bytes[start] !== this.#payload.firstByte || end - payload !== this.#payload.bytes) return false;
    this.#reply(bytes, payload);
    return true;
  }

  message(message: Message): void {
    if (this.#greeting > 0) {
      this.#greeting--;
      if (this.#greeting === 0) this.#becomeReady();
      return;
    }
    const { bytes } = message;
    const isText = this.#payload.firstByte === 0x81;
    if (bytes.length === this.#payload.bytes && (message.type === "text") === isText) this.#reply(bytes, 0);
    else this.#refuse(`a reply is ${message.type} of ${bytes.length} bytes instead of what was sent`);
  }

  read(): void {
    this.#arrival = 0;
    if (this.#host.inflight === undefined) this.flush();
    else if (this.#sending) this.#refill();
  }

  drained(): void {
    this.read();
  }

  closed(reason: string | undefined): void {
    const { tally } = this.#host;
    if (reason !== undefined) {
      if (this.#ready) tally.closed++;
      else tally.failed++;
      tally.error(reason);
    }
    tally.lost += this.outstanding;
    this.#received = this.#sent;
    this.#sending = false;
    this.#ready = false;
    this.#host.ended(this);
  }

  #becomeReady(): void {
    this.#ready = true;
    this.#host.ready(this);
  }

  #reply(bytes: Buffer, payload: number): void {
    const { modulus } = this.#payload;
    const { tally } = this.#host;
    if (this.#arrival === 0) this.#arrival = now();
    if (this.#sent === this.#received) {
      this.#refuse("a message came that answers nothing");
      return;
    }
    const counter = this.#payload.counter(bytes, payload);
    if (counter !== this.#received % modulus && !this.#skipTo(counter)) return;
    this.#received++;
    const latency = this.#arrival - this.#times.shift();
    if (!this.#payload.matches(bytes, payload)) {
      this.#refuse("a reply differs from what was sent");
      return;
    }
    tally.received++;
    tally.latency.record(latency);
  }

  /** Gives up the replies before this one, if it is one that is waited for. */
  #skipTo(counter: number): boolean {
    const { modulus } = this.#payload;
    const skipped = counter < 0 ? -1 : (counter - (this.#received % modulus) + modulus) % modulus;
    if (skipped < 0 || skipped >= this.#sent - this.#received) {
      // Its sender may take it for an answer, so one that is waited for will stay away.
      this.#received++;
      this.#times.shift();
      this.#refuse("a reply isn't the one that was due");
      return false;
    }
    this.#host.tally.lost += skipped;
    this.#host.tally.error("replies are missing in between others");
    this.#received += skipped;
    for (let i = 0; i < skipped; i++) this.#times.shift();
    return true;
  }

  #refuse(what: string): void {
    this.#host.tally.wrong++;
    this.#host.tally.error(what);
  }

  /** Closed loop: as many messages as may be in flight. */
  #refill(): void {
    const { inflight = 0 } = this.#host;
    let count = inflight - (this.#sent - this.#received);
    const time = count > 0 ? now() : 0;
    while (count > 0 && this.#client.isOpen) {
      const burst = Math.min(count, this.#payload.burst);
      for (let i = 0; i < burst; i++) this.#times.push(time);
      this.#write(burst);
      count -= burst;
    }
  }

  #write(count: number): void {
    const frames = this.#payload.frames(this.#sent, count);
    this.#sent += count;
    this.#host.tally.sent += count;
    if (!this.#client.write(frames)) this.#payload.keep();
  }
}
