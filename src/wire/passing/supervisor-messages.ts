/**
 * The messages between `switchboard run` and the processes of its program, over the channel of Node's `fork`. The
 * supervisor passes the parts of a session on from one process to another, where one of them has no `node:ffi`.
 */

/** Environment variable that tells a process its supervisor: `supervisorName`. */
export const SUPERVISOR_VARIABLE = "SWITCHBOARD_SUPERVISOR";

/** Version of these messages. A supervisor and a process with different versions don't speak with each other. */
const VERSION = 1;

/** Returns the name of a supervisor: the version of its messages, and its process id. */
export function supervisorName(pid: number): string {
  return `${VERSION}:${pid}`;
}

/** A part of a channel between two processes. */
export type ChannelPart =
  /** A socket. Its handle comes with the part. Sockets count from 0. */
  | { readonly kind: "socket"; readonly serial: number }
  /** The socket that came last has arrived here, and there is room for another. */
  | { readonly kind: "took" }
  /** A message, as `node:v8` serializes it, and how many of the sockets before it belong to it. */
  | { readonly kind: "message"; readonly body: Uint8Array; readonly sockets: number }
  /** The process has closed the channel. The supervisor sends it, too: the other process has ended. */
  | { readonly kind: "closed" }
  /** Sent by the supervisor: a part was lost. The other process may run. */
  | { readonly kind: "cut" };

/** Message of a process to its supervisor, or of the supervisor to a process. */
export type SupervisorMessage =
  /** To the supervisor: the board waits for a successor. */
  | { readonly switchboard: "awaits"; readonly holdsByNumber: boolean }
  /** To the supervisor: the board waits no longer. */
  | { readonly switchboard: "rests" }
  /** To the supervisor: the board wants to take over from the current process. */
  | { readonly switchboard: "finds"; readonly holdsByNumber: boolean }
  /**
   * To the supervisor: everybody is about to be stopped for the process `pid`, which may have connections from now on.
   * `goesOn` follows if it doesn't take over.
   */
  | { readonly switchboard: "gives"; readonly pid: number }
  /**
   * To the supervisor: this process has taken over so many connections. `isComplete`: false if the other process ended
   * before it had given everything, or if there was none.
   */
  | { readonly switchboard: "has"; readonly connections: number; readonly isComplete: boolean }
  /**
   * To the supervisor: another process didn't take over. `lost`: number of connections that ended with that process.
   */
  | { readonly switchboard: "goesOn"; readonly lost: number }
  /** The answer: the session with that process; undefined if there is none, or if both reach each other without. */
  | { readonly switchboard: "found"; readonly session: number | undefined; readonly pid: number }
  /** To the current process: another one wants to take over. */
  | { readonly switchboard: "successor"; readonly session: number; readonly pid: number }
  | { readonly switchboard: "part"; readonly session: number; readonly part: ChannelPart };

/** Returns the message, which the program's own code may have sent; undefined if it is none of ours. */
export function asSupervisorMessage(message: unknown): SupervisorMessage | undefined {
  if (!isObject(message)) return undefined;
  const { switchboard: kind, holdsByNumber, lost, session, pid, part, connections, isComplete } = message;
  const isOurs =
    kind === "awaits" || kind === "finds"
      ? typeof holdsByNumber === "boolean"
      : kind === "found"
        ? (session === undefined || isCount(session)) && isCount(pid)
        : kind === "successor"
          ? isCount(session) && isCount(pid)
          : kind === "part"
            ? isCount(session) && isPart(part)
            : kind === "goesOn"
              ? isCount(lost)
              : kind === "gives"
                ? isCount(pid)
                : kind === "has"
                  ? isCount(connections) && typeof isComplete === "boolean"
                  : kind === "rests";
  return isOurs ? (message as SupervisorMessage) : undefined;
}

function isPart(part: unknown): boolean {
  if (!isObject(part)) return false;
  const { kind, serial, body, sockets } = part;
  if (kind === "socket") return isCount(serial);
  if (kind === "message") return body instanceof Uint8Array && isCount(sockets);
  return kind === "took" || kind === "closed" || kind === "cut";
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
