/** Mail of one thread to actors of other nodes, and which addresses lead there. `MailRouter` has one. */
import type { MessagePort } from "node:worker_threads";
import { reportError } from "../../errors.ts";
import { type Address, isForeign, nodeOf } from "../actor/address.ts";
import type { AskOptions, AskOutcome, TellResult } from "../actor/mail.ts";
import { type Asks, askFull, DEFAULT_TIMEOUT_MS } from "./asks.ts";
import { type Elsewhere, Gateway, type RemoteMail, type RemoteOutcome } from "./elsewhere.ts";
import { packMail, unpackMail } from "./packed-mail.ts";

export interface MailToNodesHost {
  /** Beginning of the addresses of this node; "" if no other node shares the engine. */
  readonly addressPrefix: string;
  readonly asks: Asks;
  /** Way to other nodes, in the main thread. */
  readonly elsewhere: Elsewhere | undefined;
  /** Mail was refused. Returns the result of its `tell`. */
  refused<Value>(
    letter: { readonly to: Address; readonly from: Address | undefined },
    status: "full" | "gone",
    mail: Value,
  ): TellResult<Value>;
}

export class MailToNodes {
  readonly #host: MailToNodesHost;
  /** Way to other nodes; undefined if there are none. */
  #elsewhere: Elsewhere | undefined;
  /** Other nodes whose addresses lead to this one. */
  #aliases: ReadonlySet<string> = new Set();
  #isHandedOver = false;

  constructor(host: MailToNodesHost) {
    this.#host = host;
    this.#elsewhere = host.elsewhere;
  }

  /** A shard's mail to other nodes goes through the main thread, at the other end of this port. */
  goThrough(port: MessagePort): void {
    if (this.#host.addressPrefix !== "") this.#elsewhere = new Gateway(port);
  }

  /** Takes addresses of other nodes for addresses of this one: connections with such addresses have come here. */
  answerFor(nodes: readonly string[]): void {
    this.#aliases = new Set(nodes);
  }

  /** Nodes whose addresses lead to this one, besides this one. */
  get aliases(): readonly string[] {
    return [...this.#aliases];
  }

  /** The actors of this node have gone to another: all mail goes there. */
  handedOver(): void {
    this.#isHandedOver = true;
  }

  /** True if an address leads to another node. */
  isElsewhere(to: Address): boolean {
    const { addressPrefix } = this.#host;
    if (this.#isHandedOver && addressPrefix !== "") return true;
    return isForeign(to, addressPrefix) && !this.#aliases.has(nodeOf(to) ?? "");
  }

  tell<Value>(from: Address | undefined, to: Address, mail: Value): Promise<TellResult<Value>> {
    const bytes = packMail(mail);
    return new Promise((resolve) => {
      this.#send({ kind: "tell", to, from, bytes, timeoutMs: DEFAULT_TIMEOUT_MS }, ({ kind }) => {
        if (kind === "accepted") resolve({ status: kind });
        else resolve(this.#host.refused({ to, from }, kind === "full" ? "full" : "gone", mail));
      });
    });
  }

  ask(from: Address | undefined, to: Address, mail: unknown, options?: AskOptions): Promise<unknown> {
    const { asks, refused } = this.#host;
    const bytes = packMail(mail);
    const begun = asks.begin(to, undefined, options);
    if (begun === undefined) return Promise.reject(askFull(to));
    const { ask, result } = begun;
    const timeoutMs = options?.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#send({ kind: "ask", to, from, bytes, timeoutMs }, (outcome) => {
      switch (outcome.kind) {
        case "full":
        case "gone":
          refused({ to, from }, outcome.kind, mail);
          asks.refuse(ask, outcome.kind);
          return;
        case "answered":
          asks.settle(ask, unpackAnswer(outcome.bytes));
          return;
        case "failed":
          asks.settle(ask, outcome);
      }
      // An ask that has expired, or whose answer can't be, ends at its deadline.
    });
    return result;
  }

  #send(mail: RemoteMail, settle: (outcome: RemoteOutcome) => void): void {
    if (this.#elsewhere === undefined) settle({ kind: "gone" });
    else this.#elsewhere.send(mail, settle);
  }
}

function unpackAnswer(bytes: Uint8Array): AskOutcome {
  try {
    return { kind: "answered", value: unpackMail(bytes) };
  } catch (error) {
    return { kind: "failed", error: reportError(error) };
  }
}
