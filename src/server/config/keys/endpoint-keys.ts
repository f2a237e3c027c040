/** The keys of the addresses of the application: for questions (proxies), and for notifications (hooks). */
import { duration, flag, headers, secret, section, texts } from "../description.ts";

/** Keys of a question that namespaces or methods turn on. */
export const endpointKeys = {
  endpoint: secret("`http:` or `https:` URL that gets a POST for each question", "url"),
  timeout: duration("1s", "Time for the whole answer", { least: "1ms" }),
  http_headers: texts("Names of headers of the client's request that are passed on", "header name"),
  emulated_headers: texts(
    "Names of headers that the client itself gave (`headers` of the SDKs) and that are passed on. Don't trust their values",
    "header name",
  ),
  binary_encoding: flag(false, "Payloads are sent as Base64 (`b64data`). For payloads that aren't JSON"),
  include_connection_meta: flag(false, "The `meta` of the connection is passed on"),
  http: section("How the requests are made", {
    static_headers: headers("Headers that are added to each request"),
  }),
};

/** Keys of a question that is turned on here. */
export const switchedEndpointKeys = {
  enabled: flag(false, "Turns the questions on. Needs `endpoint`"),
  ...endpointKeys,
};

/** Keys of notifications that namespaces turn on. Notifications pass on nothing of a client's request. */
export const hookKeys = {
  endpoint: secret("`http:` or `https:` URL that gets the POSTs of notifications", "url"),
  timeout: endpointKeys.timeout,
  http: endpointKeys.http,
};

/** Keys of the notifications of clients that have gone. */
export const disconnectHookKeys = {
  enabled: flag(false, "Turns the notifications on. Needs `endpoint`"),
  ...hookKeys,
  include_connection_meta: endpointKeys.include_connection_meta,
};
