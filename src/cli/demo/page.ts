/** Serves the page of the demo, with the headers that protect it. */
import { createHash } from "node:crypto";
import type { RequestListener } from "node:http";

/**
 * Answers `/` with the page and everything else with 404. The page may run only its own script and style, and may
 * connect only to this server.
 */
export function servePage(page: string): RequestListener {
  const headers = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": [
      "default-src 'none'",
      `script-src ${hashOf("script", page)}`,
      `style-src ${hashOf("style", page)}`,
      "img-src data:",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join("; "),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
  };
  return ({ method, url = "" }, response) => {
    if (URL.parse(url, "http://localhost")?.pathname !== "/") response.writeHead(404).end();
    else if (method !== "GET" && method !== "HEAD") response.writeHead(405, { Allow: "GET, HEAD" }).end();
    else response.writeHead(200, headers).end(page);
  };
}

/** Returns the hash by which the Content-Security-Policy allows the page's one inline script or style. */
function hashOf(element: "script" | "style", page: string): string {
  const content = new RegExp(`<${element}[^>]*>(.*?)</${element}>`, "s").exec(page)?.[1];
  if (content === undefined) throw new Error(`the page has no ${element}`);
  return `'sha256-${createHash("sha256").update(content).digest("base64")}'`;
}
