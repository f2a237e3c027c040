/**
 * Which proxy `connect` uses, from its option or from the environment.
 */
import { SwitchboardError } from "../../errors.ts";

/**
 * The proxy that the environment names for a target: `HTTPS_PROXY` for `https:` (`wss:`), `HTTP_PROXY` for `http:`
 * (`ws:`), then `ALL_PROXY`. The lower-case name of each goes first. Hosts in `NO_PROXY` have no proxy. A proxy without
 * a scheme is an `http:` proxy.
 *
 * `NO_PROXY` lists host names and addresses, separated by commas or blanks, each with an optional `:port`; `*` means
 * all hosts. A host name covers its subdomains, with or without a leading `.` or `*.`.
 *
 * Throws `ERR_PROXY` for a proxy that is no http: or https: URL.
 */
export function proxyFromEnvironment(
  target: URL,
  environment: Readonly<Record<string, string | undefined>>,
): URL | undefined {
  const read = (name: string): string => environment[name.toLowerCase()] || environment[name] || "";
  const value = read(target.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY") || read("ALL_PROXY");
  if (value === "" || isExempt(target, read("NO_PROXY"))) return undefined;
  return parseProxy(value.includes("://") ? value : `http://${value}`);
}

/**
 * Throws `ERR_PROXY` for anything but an http: or https: URL. The error doesn't quote the value, which may hold a
 * password.
 */
export function parseProxy(value: URL | string): URL {
  const proxy = URL.parse(String(value));
  if (proxy !== null && (proxy.protocol === "http:" || proxy.protocol === "https:")) return proxy;
  const what = proxy === null ? "something else" : proxy.protocol;
  throw new SwitchboardError("ERR_PROXY", `a proxy is an http: or https: URL, got ${what}`);
}

/** The port of an `http:` or `https:` URL, the default one included. */
export function portOf({ port, protocol }: URL): string {
  return port || (protocol === "https:" ? "443" : "80");
}

function isExempt(target: URL, exemptions: string): boolean {
  const host = target.hostname.replace(/\.$/, "").toLowerCase();
  return exemptions
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((exemption) => exemption !== "")
    .some((exemption) => exemption === "*" || covers(exemption, host, portOf(target)));
}

function covers(exemption: string, host: string, port: string): boolean {
  // An IPv6 address contains colons; with a port it stands in brackets.
  const [, name = "", itsPort] = /^(\[.*\]|[^:]*):(\d+)$/.exec(exemption) ?? [undefined, exemption, port];
  if (itsPort !== port) return false;
  const domain = name.replace(/^\*?\./, "");
  return host === domain || host === `[${domain}]` || host.endsWith(`.${domain}`);
}
