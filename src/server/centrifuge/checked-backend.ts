/** Checks what the functions of a program's backend answer: a fault of the program is told as one, with its name. */
import type { Answer, Backend } from "../client/backend.ts";

type Asked = "connect" | "refresh" | "subscribe" | "publish" | "subRefresh" | "rpc";

/** The types of the fields of a result, for fields that are present. Fields that aren't named here are not checked. */
const FIELDS: Readonly<Record<string, readonly [is: (value: unknown) => boolean, what: string]>> = {
  user: [(value) => typeof value === "string", "a string"],
  expireAt: [(value) => Number.isFinite(value), "a number of seconds"],
  info: [isBytes, "a Buffer"],
  data: [isBytes, "a Buffer"],
  meta: [isBytes, "a Buffer"],
  subs: [isObject, "an object"],
  tags: [isObject, "an object"],
};

/**
 * Returns a backend whose functions throw a TypeError for an answer that is none. The client is then closed, and the
 * board reports `actorFailed` with the error, as for any fault of an actor.
 */
export function checkedBackend(backend: Backend): Backend {
  const checked: Backend = Object.create(backend);
  const check = <Name extends Asked>(name: Name): void => {
    const ask = backend[name] as ((...question: unknown[]) => Promise<Answer<unknown>>) | undefined;
    if (ask === undefined) return;
    Object.defineProperty(checked, name, {
      value: async (...question: unknown[]) => {
        const answer: unknown = await ask.apply(backend, question);
        const fault = faultOf(answer, name);
        if (fault !== undefined) throw new TypeError(`backend.${name} answered ${fault}`);
        return answer;
      },
    });
  };
  for (const name of ["connect", "refresh", "subscribe", "publish", "subRefresh", "rpc"] as const) check(name);
  return checked;
}

function faultOf(answer: unknown, name: Asked): string | undefined {
  if (!isObject(answer)) return `${answer === null ? "null" : typeof answer}, not an object with a kind`;
  const { kind, result, code, message, reason } = answer;
  switch (kind) {
    case "result":
      return isObject(result) ? faultOfResult(result, name) : "without an object as result";
    case "error":
      if (!isCode(code, 400, 1_999)) return `the error code ${JSON.stringify(code)}: 400 to 1999 are yours`;
      return typeof message === "string" ? undefined : "an error without a message";
    case "disconnect":
      if (!isCode(code, 4_000, 4_999)) return `the close code ${JSON.stringify(code)}: 4000 to 4999 are yours`;
      return typeof reason === "string" ? undefined : "a close without a reason";
    default:
      return `the kind ${JSON.stringify(kind)}: it is "result", "error" or "disconnect"`;
  }
}

function faultOfResult(result: Readonly<Record<string, unknown>>, name: Asked): string | undefined {
  if (name === "connect" && result["user"] === undefined) return 'a result without a user: "" is an anonymous client';
  for (const [field, [is, what]] of Object.entries(FIELDS)) {
    const value = result[field];
    if (value !== undefined && !is(value)) return `a result whose ${field} isn't ${what}`;
  }
  return undefined;
}

function isCode(code: unknown, from: number, to: number): boolean {
  return Number.isInteger(code) && Number(code) >= from && Number(code) <= to;
}

function isBytes(value: unknown): boolean {
  return value instanceof Uint8Array;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
