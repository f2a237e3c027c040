/**
 * Tells the shard that a connection has left how its `resumed` ended in the other shard. `Mover` has one `Resumptions`,
 * for both sides.
 */
import type { MessagePort } from "node:worker_threads";
import type { Address } from "../../../runtime/actor/address.ts";
import type { Arrival, Resumption, ResumptionsMessage } from "./messages.ts";

/** Called once. True: the connection was closed because `resumed` threw, or its thread has ended. */
export type ResumptionEnded = (isLost: boolean) => void;

/** A connection that has left, until its `resumed` has ended. */
interface Expected {
  /** Life of the thread that took the connection. */
  readonly life: number;
  readonly ended: ResumptionEnded;
}

export class Resumptions {
  readonly #portOf: (life: number) => MessagePort | undefined;
  readonly #expected = new Map<string, Expected>();
  /** Resumptions that other threads aren't told yet, by the life of the thread. */
  readonly #untold = new Map<number, Resumption[]>();

  constructor(portOf: (life: number) => MessagePort | undefined) {
    this.#portOf = portOf;
  }

  /** A connection has left for another thread. */
  expect(arrival: Arrival, life: number, ended: ResumptionEnded): void {
    this.#expected.set(keyOf(arrival), { life, ended });
  }

  /** Another thread has told how handlers ended. */
  told({ resumptions }: ResumptionsMessage): void {
    for (const one of resumptions) this.#end(keyOf(one), one.isLost);
  }

  /** Another thread has ended, and with it all connections there. */
  lifeEnded(life: number): void {
    for (const [key, one] of this.#expected) if (one.life === life) this.#end(key, true);
  }

  /** `resumed` of a connection that came from another thread has ended. The thread is told at the end of the tick. */
  ended(from: number, address: Address, hops: number, isLost: boolean): void {
    if (this.#untold.size === 0) setImmediate(this.#tell);
    const resumption = { address, hops, isLost };
    const untold = this.#untold.get(from);
    if (untold === undefined) this.#untold.set(from, [resumption]);
    else untold.push(resumption);
  }

  readonly #tell = (): void => {
    for (const [life, resumptions] of this.#untold) {
      const message: ResumptionsMessage = { kind: "resumptions", resumptions };
      this.#portOf(life)?.postMessage(message);
    }
    this.#untold.clear();
  };

  #end(key: string, isLost: boolean): void {
    const expected = this.#expected.get(key);
    this.#expected.delete(key);
    expected?.ended(isLost);
  }
}

/** A connection may come back and leave again before it is known how its `resumed` ended. */
function keyOf({ address, hops }: Arrival): string {
  return `${hops} ${address}`;
}
