import { execFileSync } from "node:child_process";

let pem: string | undefined;

/** A key and a certificate signed with it, for localhost and 127.0.0.1, made for this process. */
export function selfSigned(): { readonly key: string; readonly cert: string } {
  pem ??= execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
      ...["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
      ...["-keyout", "-", "-out", "-"],
    ],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
  );
  return { key: pem, cert: pem };
}
