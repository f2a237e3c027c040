/** A receiver that records its calls, for tests of transports. */
import { setImmediate as turn } from "node:timers/promises";
import type { TransportReceiver } from "../../../src/wire/transport/transport.ts";

type Call = "received" | "drained" | "ended" | "closed";

/** Records every call, and copies the bytes that it borrows. */
export class Recorder implements TransportReceiver {
  readonly calls: Call[] = [];
  byteLength = 0;
  readonly #chunks: Buffer[] = [];
  readonly #react: (call: Call) => void;
  #wake: () => void = () => {};

  /** @param react what the receiver does inside each call */
  constructor(react: (call: Call) => void = () => {}) {
    this.#react = react;
  }

  received(chunk: Buffer): void {
    this.#chunks.push(Buffer.from(chunk));
    this.byteLength += chunk.length;
    this.#called("received");
  }

  drained(): void {
    this.#called("drained");
  }

  ended(): void {
    this.#called("ended");
  }

  closed(): void {
    this.#called("closed");
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  count(call: Call): number {
    return this.calls.filter((each) => each === call).length;
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async called(call: Call): Promise<void> {
    await this.until(() => this.calls.includes(call));
  }

  #called(call: Call): void {
    this.calls.push(call);
    this.#react(call);
    this.#wake();
  }
}

/** Bytes that differ at each place, so that their order can be checked. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8)) & 0xff;
  return bytes;
}

/** Waits some turns of the event loop. Bytes written before are readable in the next turn. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await turn();
}
