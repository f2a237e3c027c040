/** Channels in memory, for takeovers whose two processes run in the test. */
import type { ChildProcess } from "node:child_process";
import { openSync } from "node:fs";
import type { PredecessorMessage, SuccessorMessage } from "../../../src/board/takeover/messages.ts";
import { type Channel, ChannelCut, type ChannelReceiver } from "../../../src/wire/passing/channel.ts";

export type Kind = (PredecessorMessage | SuccessorMessage)["kind"];

/** One end of a channel in memory. */
export class MemoryChannel implements Channel {
  readonly peer: { readonly pid: number };
  readonly isSlow: boolean;
  readonly #cutsAt: Kind | undefined;
  other: MemoryChannel | undefined;
  /** What this end has sent. */
  readonly sent: { readonly kind: Kind; readonly sockets: number }[] = [];
  #receiver: ChannelReceiver | undefined;
  #hasEnded = false;

  /** @param cutsAt kind of the message at which the channel is cut, in place of its delivery */
  constructor(peer: Pick<ChildProcess, "pid">, cutsAt?: Kind, isSlow = false) {
    this.peer = { pid: peer.pid ?? 0 };
    this.#cutsAt = cutsAt;
    this.isSlow = isSlow;
  }

  start(receiver: ChannelReceiver): void {
    this.#receiver = receiver;
  }

  send(message: unknown, descriptors: readonly number[] = []): void {
    if (this.#hasEnded) return;
    if ((message as { readonly kind: Kind }).kind === this.#cutsAt) {
      for (const end of [this, this.other]) end?.cut();
      return;
    }
    this.sent.push({ kind: (message as { readonly kind: Kind }).kind, sockets: descriptors.length });
    const copies = descriptors.map((descriptor) => this.copy(descriptor));
    queueMicrotask(() => this.other?.deliver(structuredClone(message), copies));
  }

  /** Returns a copy of a descriptor. */
  protected copy(_descriptor: number): number {
    return openSocket();
  }

  deliver(message: unknown, descriptors: readonly number[]): void {
    this.#receiver?.received(message, descriptors);
  }

  cut(): void {
    this.#hasEnded = true;
    queueMicrotask(() => this.#receiver?.ended(new ChannelCut("as the test wants")));
  }

  close(): void {}
  unref(): void {}
  destroy(): void {}
}

/** A descriptor in place of a socket. */
export function openSocket(): number {
  return openSync("/dev/null", "r");
}
