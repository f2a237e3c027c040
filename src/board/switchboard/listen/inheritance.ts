/** The listening sockets that a board gets from the process that it takes over from. `ListeningSockets` has one. */
import type { AddressInfo } from "node:net";
import { SwitchboardError } from "../../../errors.ts";
import { closePassed } from "../../../wire/passing/passed-sockets.ts";
import type { MovingListener } from "../../takeover/messages.ts";

/** The socket that one call of `listen` asks for: a port and a host, or the path of a Unix socket. */
export interface AskedSocket {
  readonly port?: number;
  readonly host?: string;
  readonly path?: string;
}

/** Everything that one call of `listen` has opened. */
export interface SocketsOfCall {
  readonly asked: AskedSocket;
  readonly address: AddressInfo | string;
  /** Descriptors: one, or one for each shard that accepts by itself. */
  readonly descriptors: readonly number[];
}

/** Time in ms that a program has for its next call of `listen`, before sockets that it doesn't ask for are closed. */
const NEXT_CALL_MS = 10_000;

/** Returns the names and descriptors of sockets for another process. */
export function listenersOf(calls: readonly SocketsOfCall[]): MovingListener[] {
  return calls.flatMap(({ asked, address, descriptors }, call) => {
    const name = JSON.stringify({ call, asked, address });
    return descriptors.map((descriptor) => ({ name, descriptor }));
  });
}

export class Inheritance {
  readonly #unclaimed: SocketsOfCall[];
  readonly #closed: SocketsOfCall[] = [];
  readonly #claimed = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;

  /** @param listeners sockets as `listenersOf` names them */
  constructor(listeners: readonly MovingListener[]) {
    const calls = new Map<string, number[]>();
    for (const { name, descriptor } of listeners) calls.set(name, [...(calls.get(name) ?? []), descriptor]);
    this.#unclaimed = Array.from(calls, ([name, descriptors]) => {
      const { asked, address }: Omit<SocketsOfCall, "descriptors"> = JSON.parse(name);
      return { asked, address, descriptors };
    });
    this.#over.promise.catch(() => {});
    this.#claimed.promise.catch(() => {});
    if (this.#unclaimed.length === 0) this.#claimed.resolve();
  }

  /**
   * Resolves when the program has asked for all sockets, or hasn't called `listen` for some time after it did so first.
   * The other sockets are closed.
   */
  get claimed(): Promise<void> {
    return this.#claimed.promise;
  }

  /** Sockets that the program hasn't asked for, and that were closed. */
  get closed(): readonly SocketsOfCall[] {
    return this.#closed;
  }

  /** Gives a socket to a call of `listen`. Returns undefined if there is none for it. */
  claim(asked: AskedSocket): SocketsOfCall | undefined {
    const same = this.#unclaimed.findIndex((one) => isSame(one.asked, asked));
    // The process before may have asked for any port, and this one for the port that it got.
    const index = same >= 0 ? same : this.#unclaimed.findIndex((one) => isSame(actual(one), asked));
    const [claimed] = index < 0 ? [] : this.#unclaimed.splice(index, 1);
    clearTimeout(this.#timer);
    if (this.#unclaimed.length === 0) this.#claimed.resolve();
    else this.#timer = setTimeout(() => this.#closeRest(), NEXT_CALL_MS);
    return claimed;
  }

  /**
   * Waits for the end of the takeover, if all sockets have been claimed. Before that, waiting would be for the next
   * call of `listen`. Rejects if the takeover fails.
   */
  async settled(): Promise<void> {
    if (this.#unclaimed.length === 0) await this.#over.promise;
  }

  /**
   * A call couldn't open its port. If the process before has that port, by another call of `listen`, the takeover can't
   * go on: nothing more will be claimed. Returns the error for the call.
   */
  refused(asked: AskedSocket, cause: Error): Error {
    const other = this.#unclaimed.find((one) => asked.port !== undefined && actual(one).port === asked.port);
    if (other === undefined || (cause as NodeJS.ErrnoException).code !== "EADDRINUSE") return cause;
    const message = `listen(${JSON.stringify(asked)}): the process before has this port by listen(${JSON.stringify(other.asked)}); ask for it with the same host`;
    const error = new SwitchboardError("ERR_OPTION", message, { cause });
    this.renounce(error);
    return error;
  }

  /** Nothing more will be claimed. `claimed` rejects, unless everything has been. */
  renounce(reason: Error): void {
    if (this.#unclaimed.length > 0) this.#claimed.reject(reason);
    this.#closeRest();
  }

  /** @param error why the takeover has failed */
  end(error?: Error): void {
    if (error === undefined) {
      this.#over.resolve();
      return;
    }
    this.#over.reject(error);
    this.#closeRest();
  }

  #closeRest(): void {
    clearTimeout(this.#timer);
    for (const one of this.#unclaimed.splice(0)) {
      this.#closed.push(one);
      for (const descriptor of one.descriptors) closePassed(descriptor);
    }
    this.#claimed.resolve();
  }
}

/** Returns the request of a call that wants exactly this socket. */
function actual({ asked, address }: SocketsOfCall): AskedSocket {
  return typeof address === "string" ? asked : { ...asked, port: address.port };
}

function isSame(one: AskedSocket, other: AskedSocket): boolean {
  return one.port === other.port && one.host === other.host && one.path === other.path;
}
