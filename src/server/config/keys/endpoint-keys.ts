/** The keys of one question or hook to the application over HTTP. Used by all proxies and hooks. */
import { duration, flag, headers, secret, section, texts } from "../description.ts";

/** Keys of an endpoint, which namespaces or methods turn on. */
export const endpointKeys = {
  endpoint: secret("`http:` or `https:` URL that gets a POST for each question", "url"),
  timeout: duration("1s", "Time within which the whole answer has to be there", { least: "1ms" }),
  http_headers: texts("Names of headers of the client's request that are passed on", "header name"),
  emulated_headers: texts(
    "Names of headers that the client itself gave (`headers` of the SDKs) and that are passed on. Not to be trusted",
    "header name",
  ),
  binary_encoding: flag(false, "Payloads travel as Base64 (`b64data`). For payloads that aren't JSON"),
  include_connection_meta: flag(false, "The `meta` of the connection is passed on"),
  http: section("How the requests are made", {
    static_headers: headers("Headers that are added to each request"),
  }),
};

/** Keys of an endpoint that is turned on here. */
export const switchedEndpointKeys = {
  enabled: flag(false, "Turns the questions on. Needs `endpoint`"),
  ...endpointKeys,
};
