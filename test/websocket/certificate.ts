import { execFileSync } from "node:child_process";
import { isMissing, succeeds } from "../e2e/support/programs.ts";
import type { Certificate } from "./servers.ts";

export const noOpenssl = isMissing("openssl", succeeds("openssl", "version"), "apt-get install openssl");

/** A certificate of its own authority, for 127.0.0.1 and localhost. */
export function createCertificate(): Certificate {
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
  const pem = execFileSync("openssl", ["req", ...kind, ...subject, "-keyout", "-", "-out", "-"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [key = "", cert = ""] = ["PRIVATE KEY", "CERTIFICATE"].map(
    (what) => new RegExp(`-----BEGIN ${what}-----[^]+-----END ${what}-----`).exec(pem)?.[0],
  );
  return { key, cert };
}
