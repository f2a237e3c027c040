/**
 * The decision of a user's `authorize` on one handshake, and the check of what it gave. Used by the acceptor in either
 * kind of thread.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";
import type { Params } from "../../runtime/actor/context/actor-context.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import {
  type AnswerHeaders,
  MAX_REFUSAL_STATUS,
  MIN_REFUSAL_STATUS,
  type UpgradeRefusal,
} from "../../wire/upgrade/response.ts";

/** Lets the connection in. */
export interface Admission<Session> {
  /** Becomes `this.session` in the shard: as a clone, unless the shard does the handshake itself. */
  readonly session: Session;
  /**
   * Headers to add to the answer (101, or 200 over HTTP/2), such as `{ "Set-Cookie": ["a=1", "b=2"] }`. Not those of
   * the handshake itself.
   */
  readonly headers?: AnswerHeaders;
  readonly status?: never;
  readonly body?: never;
}

/** Refuses the connection: 3xx (some clients follow redirects), 4xx or 5xx. */
export interface Denial extends UpgradeRefusal {
  readonly session?: never;
}

export type Verdict<Session = unknown> = Admission<Session> | Denial;

/**
 * Decides on one handshake, after it was found well-formed and before it is answered: `{ session, headers }` lets it
 * in, `{ status, headers, body }` refuses it. What it throws, and any other value (`{ session, status }`, say), is
 * answered with 500 and reported (`ERR_AUTHORIZE`): nobody gets in by mistake.
 */
export type Authorize<Session = unknown> = (
  request: IncomingMessage,
  params: Params,
) => Verdict<Session> | Promise<Verdict<Session>>;

const ADMISSION_KEYS = ["session", "headers"];
const DENIAL_KEYS = ["status", "headers", "body"];

/** Headers that the handshake writes, or that would give the 101 a body. */
const HANDSHAKE_HEADERS = /^(?:upgrade|connection|content-length|transfer-encoding|sec-websocket-.*)$/i;

/** The calls of `authorize` that an acceptor waits for. */
export class PendingVerdicts {
  /** Functions that each end one wait. */
  readonly #giveUps = new Set<() => void>();

  /**
   * Resolves with the verdict of `authorize`, or with undefined as soon as the socket is closed or `giveUp` is called.
   * Without an `authorize`, everybody gets in. Rejects as `decide` does.
   */
  ask(
    authorize: Authorize | undefined,
    request: IncomingMessage,
    socket: Duplex,
    params: Params,
  ): Promise<Verdict | undefined> {
    if (authorize === undefined) return Promise.resolve({ session: undefined });
    return new Promise((resolve, reject) => {
      const giveUp = (): void => resolve(undefined);
      socket.once("close", giveUp);
      this.#giveUps.add(giveUp);
      decide(authorize, request, params)
        .then(resolve, reject)
        .finally(() => {
          socket.off("close", giveUp);
          this.#giveUps.delete(giveUp);
        });
    });
  }

  /** Ends all waits. */
  giveUp(): void {
    for (const giveUp of this.#giveUps) giveUp();
  }
}

/** Calls `authorize` and checks what it gave. Throws `ERR_AUTHORIZE` for what it may not give. */
export async function decide(authorize: Authorize, request: IncomingMessage, params: Params): Promise<Verdict> {
  const given: unknown = await authorize(request, params);
  if (typeof given !== "object" || given === null) throw misfit(`gave ${given === null ? "null" : typeof given}`);
  if ("session" in given) {
    if ("status" in given)
      throw misfit("gave both session and status: nobody can tell whether that lets in or refuses");
    checkKeys(given, ADMISSION_KEYS, "session");
    return { session: given.session, ...headersOf(given, HANDSHAKE_HEADERS) };
  }
  if (!("status" in given)) throw misfit("gave an object without session and status");
  checkKeys(given, DENIAL_KEYS, "status");
  return { status: statusOf(given.status), ...headersOf(given), ...bodyOf(given) };
}

function checkKeys(given: object, known: readonly string[], beside: string): void {
  const unknown = Object.entries(given).find(([key, value]) => value !== undefined && !known.includes(key));
  if (unknown !== undefined) throw misfit(`gave "${unknown[0]}" beside ${beside}`);
}

function statusOf(status: unknown): number {
  if (typeof status === "number" && Number.isInteger(status)) {
    if (status >= MIN_REFUSAL_STATUS && status <= MAX_REFUSAL_STATUS) return status;
  }
  const range = `an integer from ${MIN_REFUSAL_STATUS} to ${MAX_REFUSAL_STATUS}`;
  throw misfit(`gave the status ${String(status)}, and a refusal's is ${range}`);
}

function bodyOf(given: object): { body?: string } {
  const body = "body" in given ? given.body : undefined;
  if (body === undefined) return {};
  if (typeof body !== "string")
    throw misfit(`gave a body that is no string, but ${body === null ? "null" : typeof body}`);
  return { body };
}

function headersOf(given: object, forbidden?: RegExp): { headers?: AnswerHeaders } {
  const headers: unknown = "headers" in given ? given.headers : undefined;
  if (headers === undefined) return {};
  // A Headers or a Map would look empty.
  if (typeof headers !== "object" || headers === null || Symbol.iterator in headers) {
    throw misfit("gave headers that are no object of names and values");
  }
  for (const [name, value] of Object.entries(headers)) checkHeader(name, value, forbidden);
  return { headers: headers as AnswerHeaders };
}

function checkHeader(name: string, value: unknown, forbidden: RegExp | undefined): void {
  if (forbidden?.test(name)) throw misfit(`gave the header ${name}, which is written by the handshake alone`);
  for (const one of Array.isArray(value) ? value : [value]) {
    if (typeof one !== "string" && !Number.isFinite(one)) {
      throw misfit(
        `gave the header ${JSON.stringify(name)} a value that is no string, finite number or array of these`,
      );
    }
    try {
      builtins.http.validateHeaderName(name);
      builtins.http.validateHeaderValue(name, String(one));
    } catch (cause) {
      throw misfit(`gave the header ${JSON.stringify(name)}, with a character that can't be sent`, { cause });
    }
  }
}

function misfit(what: string, options?: ErrorOptions): SwitchboardError {
  const message = `authorize must give { session, headers } or { status, headers, body }, and ${what}`;
  return new SwitchboardError("ERR_AUTHORIZE", message, options);
}

/** Finds out before the 101 is written what would fail after it. */
export function checkCloneable(session: unknown): void {
  try {
    structuredClone(session);
  } catch (cause) {
    const message =
      "the session that authorize gave can't be cloned to a shard: use plain data, without functions or class instances";
    throw new SwitchboardError("ERR_SESSION_NOT_CLONEABLE", message, { cause });
  }
}
