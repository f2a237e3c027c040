import type { IncomingMessage } from "node:http";
import type { Admission, Params, UpgradeRefusal } from "../../../src/index.ts";
import Scripted from "./scripted.ts";

interface Order {
  /** The value to return. */
  readonly gives?: unknown;
  /** The value with which the returned promise resolves. */
  readonly resolves?: unknown;
  readonly throws?: string;
  readonly never?: boolean;
  /** True to end the thread instead. */
  readonly exits?: boolean;
  /** True to return a session with functions, which can't be cloned. */
  readonly functions?: boolean;
}

/**
 * Follows the order in the request's X-Authorize header, in JSON, so that a test can reach every outcome. Counts its
 * calls.
 */
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
