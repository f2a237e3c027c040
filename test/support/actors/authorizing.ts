import type { IncomingMessage } from "node:http";
import type { Admission, Params, UpgradeRefusal } from "../../../src/index.ts";
import Scripted from "./scripted.ts";

interface Order {
  /** A verdict given as it is. */
  readonly gives?: unknown;
  /** A refusal or admission that comes later. */
  readonly resolves?: unknown;
  readonly throws?: string;
  readonly never?: boolean;
  /** Ends the thread instead. */
  readonly exits?: boolean;
  /** Gives a session of functions, which no clone has. */
  readonly functions?: boolean;
}

/** Does what the request's X-Authorize header says, in JSON, so that a test can reach every outcome; tells how often it was asked. */
export function authorize(
  request: IncomingMessage,
  params: Params,
): Admission<unknown> | UpgradeRefusal | Promise<Admission<unknown> | UpgradeRefusal> {
  const header = request.headers["x-authorize"];
  if (typeof header !== "string") {
    const { searchParams } = new URL(request.url ?? "", "http://localhost");
    return { session: { params, token: searchParams.get("token"), cookie: request.headers.cookie } };
  }
  const order: Order = JSON.parse(header);
  if (order.exits) process.exit();
  if (order.never) return new Promise(() => {});
  if (order.throws !== undefined) throw new TypeError(order.throws);
  if (order.functions) return { session: { toJSON: () => "a function was here" } };
  if ("resolves" in order) return Promise.resolve(order.resolves as UpgradeRefusal);
  return order.gives as UpgradeRefusal;
}

export default class Authorizing extends Scripted {}
