/** Which pages may use the endpoints of emulation (CORS): browsers ask for it, unlike with WebSockets. */
import type { OutgoingHttpHeaders } from "node:http";
import { allowsOrigin, type Origins } from "../../wire/handshake/origins.ts";
import type { HttpRequest } from "./http.ts";

/** Seconds for which a browser may remember the answer to a preflight request. */
const PREFLIGHT_MAX_AGE = 300;

/**
 * Returns the headers with which a page of the request's origin may read the answer, or "denied". A request without an
 * Origin comes from no page, or from a page of this very host, and needs none.
 *
 * Source: https://fetch.spec.whatwg.org/#http-cors-protocol
 *
 * @param origins normalized; undefined: all origins, but without their cookies
 */
export function corsHeaders(request: HttpRequest, origins: Origins | undefined): OutgoingHttpHeaders | "denied" {
  const { origin } = request.headers;
  const vary = { Vary: "Origin" };
  if (origin === undefined) return vary;
  if (origins === undefined) return { ...vary, "Access-Control-Allow-Origin": origin };
  if (!allowsOrigin(origins, origin, request)) return "denied";
  return { ...vary, "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true" };
}

/** Returns what a preflight request asks for besides: methods, and headers that the page wants to send. */
export function preflightHeaders({ headers }: HttpRequest, methods: string): OutgoingHttpHeaders {
  return {
    "Access-Control-Allow-Methods": methods,
    "Access-Control-Allow-Headers": headers["access-control-request-headers"] ?? "Content-Type",
    "Access-Control-Max-Age": PREFLIGHT_MAX_AGE,
  };
}
