/**
 * The way of mail to other nodes. Only the main thread can send there; a shard's `MailRouter` has a `Gateway` to the
 * main thread, on the port that the mail between threads and the bus use as well.
 */
import type { MessagePort } from "node:worker_threads";
import type { ErrorReport } from "../../errors.ts";
import { PendingReplies } from "../../wire/transport/pending-replies.ts";
import type { Address } from "../actor/address.ts";

/** Mail from an actor or a board of one node to an actor of another. */
export interface RemoteMail {
  readonly kind: "tell" | "ask";
  readonly to: Address;
  readonly from: Address | undefined;
  /** The mail, packed. */
  readonly bytes: Uint8Array;
  /** Time that the verdict on a tell, or the answer to an ask, may take, in ms. */
  readonly timeoutMs: number;
}

/** Outcome of mail to another node. */
export type RemoteOutcome =
  /** `accepted` is for a tell. `expired`: nothing was heard in time, so the mail may have arrived or not. */
  | { readonly kind: "accepted" | "full" | "gone" | "expired" }
  /** Answer to an ask, packed. */
  | { readonly kind: "answered"; readonly bytes: Uint8Array }
  | { readonly kind: "failed"; readonly error: ErrorReport };

export interface Elsewhere {
  /**
   * Sends mail at most once, in the order of the calls. `settle` is called once: at the latest after the mail's time.
   */
  send(mail: RemoteMail, settle: (outcome: RemoteOutcome) => void): void;
}

/** Number of mails of one shard to other nodes without an outcome. More are refused as `full`. */
export const MAX_MAILS_ELSEWHERE = 8_192;

interface Outgoing {
  readonly kind: "toElsewhere";
  readonly serial: number;
  readonly mail: RemoteMail;
}

interface Outcome {
  readonly kind: "fromElsewhere";
  readonly serial: number;
  readonly outcome: RemoteOutcome;
}

/** A shard's way to other nodes. */
export class Gateway implements Elsewhere {
  readonly #port: MessagePort;
  /**
   * Mail that waits for its outcome. It has no deadlines here: the main thread has them, and the shard ends with it.
   */
  readonly #pending = new PendingReplies<(outcome: RemoteOutcome) => void>();

  constructor(port: MessagePort) {
    this.#port = port;
    port.on("message", (message: { readonly kind: string }) => {
      if (message.kind !== "fromElsewhere") return;
      const { serial, outcome } = message as Outcome;
      this.#pending.take(serial)?.(outcome);
    });
  }

  send(mail: RemoteMail, settle: (outcome: RemoteOutcome) => void): void {
    if (this.#pending.size >= MAX_MAILS_ELSEWHERE) {
      settle({ kind: "full" });
      return;
    }
    const message: Outgoing = { kind: "toElsewhere", serial: this.#pending.add(settle), mail };
    this.#port.postMessage(message);
  }
}

/** Sends what the `Gateway` at the other end of a port is given. A shard that ends gets no outcomes. */
export function serveGateway(port: MessagePort, elsewhere: Elsewhere): void {
  port.on("message", (message: { readonly kind: string }) => {
    if (message.kind !== "toElsewhere") return;
    const { serial, mail } = message as Outgoing;
    elsewhere.send(mail, (outcome) => {
      const reply: Outcome = { kind: "fromElsewhere", serial, outcome };
      port.postMessage(reply);
    });
  });
}
