/**
 * Passes messages and sockets on between two processes of the program, where one of them has no `node:ffi`. The
 * supervisor has one relay.
 */
import type { ChildProcess } from "node:child_process";
import type { TcpHandle } from "../../wire/node-internals/net.ts";
import { asSupervisorMessage, type SupervisorMessage } from "../../wire/passing/supervisor-messages.ts";
import type { Taken } from "./program.ts";
import { RelaySession } from "./relay-session.ts";

/** Sessions at a time. Only two boards in one process need more than one. */
const MAX_SESSIONS = 8;

/**
 * Time for parts that an ended process has sent before, in ms. More passes only if its channel stays open in another
 * process.
 */
const DRAIN_TIMEOUT_MS = 5_000;

export interface RelayOwner {
  /** The process that has the ports and the connections; undefined if `child` is that process. */
  predecessorOf(child: ChildProcess): ChildProcess | undefined;
  /** A board of the process waits for a successor. */
  awaits(child: ChildProcess, holdsByNumber: boolean): void;
  /** A board of the process is about to give its connections to the process with this id. */
  gives(child: ChildProcess, pid: number): void;
  /** A board of the process has taken connections over. */
  has(child: ChildProcess, taken: Taken): void;
  /**
   * Another process didn't take over from a board of the process. `lost`: number of connections that ended with the
   * other.
   */
  goesOn(child: ChildProcess, lost: number): void;
  /** Nothing more is passed on to or from `child`, which wanted to take over. Both processes were told. */
  cut(child: ChildProcess, why: string): void;
}

export class Relay {
  readonly #owner: RelayOwner;
  readonly #sessions = new Map<number, RelaySession>();
  /** Processes whose boards wait for a successor. True for those with `node:ffi`. */
  readonly #awaiting = new Map<ChildProcess, boolean>();
  #nextSerial = 0;

  constructor(owner: RelayOwner) {
    this.#owner = owner;
  }

  /** Listens to a process that has just been started. */
  add(child: ChildProcess): void {
    child.on("message", (message: unknown, handle: unknown) => {
      const ours = asSupervisorMessage(message);
      if (ours !== undefined) this.#received(child, ours, handle as TcpHandle | undefined);
    });
    // A process may close its channel and run on: only its end means that its sockets and messages belong to nobody.
    child.once("exit", () => {
      const timer = setTimeout(() => this.#gone(child), DRAIN_TIMEOUT_MS).unref();
      // Everything that the process has sent was read. Node tells of a closed channel (`disconnect`) only when no
      // handle is under way.
      child.once("close", () => {
        clearTimeout(timer);
        this.#gone(child);
      });
    });
  }

  #received(child: ChildProcess, message: SupervisorMessage, handle: TcpHandle | undefined): void {
    switch (message.switchboard) {
      case "awaits":
        this.#awaiting.set(child, message.holdsByNumber);
        this.#owner.awaits(child, message.holdsByNumber);
        return;
      case "rests":
        this.#awaiting.delete(child);
        return;
      case "gives":
        this.#owner.gives(child, message.pid);
        return;
      case "has":
        this.#owner.has(child, message);
        return;
      case "goesOn":
        this.#owner.goesOn(child, message.lost);
        return;
      case "finds":
        this.#find(child, message.holdsByNumber);
        return;
      case "part": {
        const session = this.#sessions.get(message.session);
        if (session?.has(child)) session.received(child, message.part, handle);
        else handle?.close();
        return;
      }
      default:
        handle?.close();
    }
  }

  #find(child: ChildProcess, holdsByNumber: boolean): void {
    const before = this.#owner.predecessorOf(child);
    const other = before === undefined ? undefined : this.#awaiting.get(before);
    const isNeeded = other !== undefined && !(other && holdsByNumber) && this.#sessions.size < MAX_SESSIONS;
    if (before?.pid === undefined || child.pid === undefined || !isNeeded) {
      tell(child, { switchboard: "found", session: undefined, pid: 0 });
      return;
    }
    const serial = this.#nextSerial++;
    const over = (why: string | undefined): void => {
      this.#sessions.delete(serial);
      if (why !== undefined) this.#owner.cut(child, why);
    };
    this.#sessions.set(serial, new RelaySession(serial, before, child, over));
    tell(before, { switchboard: "successor", session: serial, pid: child.pid });
    tell(child, { switchboard: "found", session: serial, pid: before.pid });
  }

  #gone(child: ChildProcess): void {
    this.#awaiting.delete(child);
    for (const session of [...this.#sessions.values()]) if (session.has(child)) session.gone(child);
  }
}

function tell(child: ChildProcess, message: SupervisorMessage): void {
  // A process that has just ended is noticed by its end.
  child.send(message, undefined, {}, () => {});
}
