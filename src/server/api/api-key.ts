/** The check of the API key of a request. `createApi` has one. */
import type { IncomingHttpHeaders } from "node:http";
import { builtins } from "../../wire/node-internals/builtins.ts";

const digest = (text: string): Buffer => builtins.crypto.createHash("sha256").update(text).digest();

export class ApiKey {
  readonly #digest: Buffer;

  constructor(key: string) {
    this.#digest = digest(key);
  }

  /**
   * True if a request has the key: as `X-API-Key`, as `Authorization: apikey KEY`, or as `api_key` in the query. The
   * time of a comparison doesn't depend on the keys.
   */
  accepts(headers: IncomingHttpHeaders, query: string): boolean {
    const own = headers["x-api-key"];
    if (typeof own === "string" && this.#equals(own)) return true;
    const [scheme, key, ...more] = headers.authorization?.trim().split(/\s+/) ?? [];
    if (scheme?.toLowerCase() === "apikey" && key !== undefined && more.length === 0 && this.#equals(key)) return true;
    if (query === "") return false;
    const inQuery = new URLSearchParams(query).get("api_key");
    return inQuery !== null && this.#equals(inQuery);
  }

  #equals(key: string): boolean {
    return builtins.crypto.timingSafeEqual(digest(key), this.#digest);
  }
}
